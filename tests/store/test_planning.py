"""Planning: every listed image is committed or in exactly one planned shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redepth.errors import CommitConflict, ConfigError, IntegrityError
from redepth.images.noticed import ListingFault, Noticed, Notices, PassedOver
from redepth.store import fragment_index, layout, manifest, planning
from redepth.store.catalogue import fragment_names
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan, read_shard_plans
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import Plan, draft_plan, plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef, Outcome
from tests.store.store_samples import CARD, commit_all, image, images, label, recipe, shard_plans


@settings(max_examples=15)
@given(
    num_listed=st.integers(0, 40),
    num_committed=st.integers(0, 40),
    per_shard=st.integers(1, 7),
    outcomes=st.lists(st.sampled_from(Outcome), min_size=40, max_size=40),
    retry=st.frozensets(st.sampled_from(Outcome)),
    batch=st.integers(1, 17),
)
def test_a_plan_is_a_partition(
    new_output: Callable[[], str],
    num_listed: int,
    num_committed: int,
    per_shard: int,
    outcomes: list[Outcome],
    retry: frozenset[Outcome],
    batch: int,
) -> None:
    out, settings_ = new_output(), recipe(per_shard)
    ended = {ref.id: outcome for ref, outcome in zip(images(40), outcomes, strict=True)}
    commit_all(out, images(num_committed), settings_, ended)
    listed = images(num_listed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_BATCH", batch)
        plan = plan_labels(iter(listed), out, settings_, retry)
    shards = shard_plans(plan)

    known = {ref.id for ref in images(num_committed)}
    todo = [ref for ref in listed if ref.id not in known or ended[ref.id] in retry]
    planned = [ref for shard in shards for ref in shard.images]
    assert sorted(planned, key=lambda ref: ref.id) == sorted(todo, key=lambda ref: ref.id)
    assert [ref for ref in planned if ref.id not in known] == [r for r in todo if r.id not in known]
    assert len({shard.array_group for shard in shards}) == len(shards) == plan.num_shards
    assert max((len(shard.images) for shard in shards), default=0) <= per_shard
    assert (plan.num_listed, plan.num_pending) == (num_listed, len(todo))
    assert plan.num_done == num_listed - len(todo)
    assert plan.size_bytes == sum(ref.size_bytes or 0 for ref in todo)
    assert sum(plan.outcomes.values()) == len(known & {ref.id for ref in listed})
    assert all(shard.is_retry == (shard.images[0].id in known) for shard in shards)


def test_a_second_plan_is_empty(out: str) -> None:
    commit_all(out, images(10), recipe())
    plan = plan_labels(images(10), out, recipe())
    assert (plan.manifest, plan.num_pending, plan.num_shards, plan.num_done) == (None, 0, 0, 10)
    assert plan.outcomes[Outcome.REFINED] == 10


def test_a_removed_part_is_planned_again_under_its_name(out: str) -> None:
    refs = images(11)
    commit_all(out, refs, recipe())
    (gone,) = [
        shard for shard in fragment_names(open_objects(out)) if _ids_of(out, shard)[0] == refs[4].id
    ]
    open_objects(out).delete(gone)
    (shard,) = shard_plans(plan_labels(refs, out, recipe()))
    assert layout.fragment_name(shard.shard) == gone
    assert list(shard.images) == refs[4:8]
    assert not shard.is_retry


def _ids_of(out: str, part: str) -> list[str]:
    from redepth.store.rows import decode_fragment

    ids: list[str] = decode_fragment(part, open_objects(out).read(part)).table["id"].to_pylist()
    return ids


def test_a_shard_is_named_after_its_recipe_and_its_images_in_order() -> None:
    name = layout.shard_id("digest", ["a", "b"])
    assert len(name) == 16
    assert name == layout.shard_id("digest", ["a", "b"])
    others = [("other", ["a", "b"]), ("digest", ["b", "a"]), ("digest", ["a,b"]), ("digest", ["a"])]
    assert name not in {layout.shard_id(digest, ids) for digest, ids in others}


def drafted(refs: list[ImageRef], out: str) -> Plan:
    with draft_plan(refs, out, recipe()) as draft:
        return draft.plan


def test_a_draft_writes_nothing_until_it_is_published(out: str) -> None:
    with draft_plan(images(10), out, recipe()) as draft:
        assert draft.plan.manifest is None
        assert (draft.plan.num_pending, draft.plan.num_shards) == (10, 3)
        assert open_objects(out).list(layout.MANIFESTS, "") == []
        published = draft.publish()
    planned = plan_labels(images(10), out, recipe())
    first, second = ([(s.shard, s.images) for s in shard_plans(p)] for p in (published, planned))
    assert first == second


def test_a_draft_knows_that_something_was_committed_since(out: str) -> None:
    with draft_plan(images(10), out, recipe()) as draft:
        assert draft.is_current()
        commit_all(out, images(10)[:4], recipe())
        assert not draft.is_current()


def test_a_draft_with_nothing_to_do_is_no_manifest(out: str) -> None:
    commit_all(out, images(4), recipe())
    manifests = open_objects(out).list(layout.MANIFESTS, "")
    with draft_plan(images(4), out, recipe()) as draft:
        assert draft.publish().manifest is None
    assert open_objects(out).list(layout.MANIFESTS, "") == manifests


def test_one_id_twice_is_refused(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_BATCH", 3)
    with pytest.raises(ConfigError, match="1 of 8 listed images have the id of another"):
        plan_labels([*images(7), image(1)], out, recipe())
    assert open_objects(out).list(layout.MANIFESTS, "") == []


def test_an_image_committed_twice_is_an_error(out: str) -> None:
    """As two runs that worked on one output at once may leave it."""
    begin(out, recipe(), [CARD])
    refs = images(6)
    commit_all(out, refs[:4], recipe())
    plan = ShardPlan("f" * 16, "f" * 16, tuple(refs[3:]))
    write_shard(out, plan, [label(ref) for ref in refs[3:]], recipe().labels.storage)
    with pytest.raises(IntegrityError, match=rf"1 images .* two shards.*{refs[3].id}"):
        plan_labels(refs, out, recipe())
    with pytest.raises(IntegrityError, match="two shards"):
        open_labels(out)[refs[0].id]


def test_a_task_reads_its_own_shards_and_row_groups_only(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "ROWS_PER_GROUP", 10)
    plan = plan_labels(images(95), out, recipe(4))
    assert plan.manifest is not None
    everything = list(read_shard_plans(plan.manifest, 0, plan.num_shards))
    assert len(everything) == plan.num_shards == 24
    read: list[int] = []
    real = pq.ParquetFile.read_row_group

    def noted(self: pq.ParquetFile, group: int) -> pa.Table:
        read.append(group)
        return real(self, group)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    assert list(read_shard_plans(plan.manifest, 9, 12)) == everything[9:12]
    assert read == [4, 5]
    assert list(read_shard_plans(plan.manifest, 24, 30)) == []


def test_a_manifest_that_is_gone_says_plan_again(out: str) -> None:
    with pytest.raises(CommitConflict, match="plan again"):
        list(read_shard_plans(f"{out}/manifest/gone.parquet", 0, 1))


def test_a_manifest_has_a_column_for_all_that_a_listing_tells_but_secrets() -> None:
    assert (*manifest.IMAGE_SCHEMA.names, "opens") == ImageRef._fields


def test_manifests_sort_by_plan(out: str) -> None:
    first = plan_labels(images(5), out, recipe())
    second = plan_labels(images(3), out, recipe())
    assert first.manifest is not None and second.manifest is not None
    assert first.manifest < second.manifest
    ids = manifest.latest_manifest_ids(open_objects(out)).to_pylist()
    assert ids == [ref.id for ref in images(3)]


def test_a_plan_reads_only_the_parts_that_no_index_knows(
    new_output: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = new_output()
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 3)
    refs, ended = images(24), {images(24)[2].id: Outcome.FAILED}
    commit_all(out, refs[:16], recipe(), ended)
    assert plan_labels(refs, out, recipe()).num_pending == 8
    assert open_objects(out).exists(fragment_index.NAME)

    read: list[str] = []
    real = Objects.read_many

    def read_many(self: Objects, names: Sequence[str], max_bytes: int) -> object:
        read.extend(names)
        return real(self, names, max_bytes)

    monkeypatch.setattr(Objects, "read_many", read_many)
    assert drafted(refs, out).num_pending == 8
    assert read == []
    commit_all(out, refs[16:20], recipe())
    commit_all(out, refs[:16], recipe(), retry=[Outcome.FAILED])
    read.clear()
    plan = drafted(refs, out)
    assert len(read) == 2, "the new part and the one that was tried again"
    assert (plan.num_pending, plan.outcomes[Outcome.FAILED]) == (4, 0)


def test_with_and_without_an_index_a_plan_is_the_same(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 2)
    ended = {ref.id: Outcome.FAILED for ref in images(30)[::3]}
    retry = frozenset([Outcome.FAILED])
    commit_all(out, images(17), recipe(), ended)
    plan_labels(images(30), out, recipe())
    commit_all(out, images(21), recipe(2), ended)
    with_index = shard_plans(plan_labels(images(30), out, recipe(), retry))
    objects = open_objects(out)
    objects.put(fragment_index.NAME, b"PAR1 not an index")
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 99)
    without = shard_plans(plan_labels(images(30), out, recipe(), retry))
    assert [replace(s, manifest=None) for s in with_index] == [
        replace(s, manifest=None) for s in without
    ]
    assert sum(shard.is_retry for shard in without) >= 4


def test_an_index_of_other_fingerprints_is_left_aside(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of an older redepth had none of images without a size: none would ever have changed."""
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 1)
    refs = [ref._replace(size_bytes=None) for ref in images(4)]
    commit_all(out, refs, recipe())
    plan_labels(images(5), out, recipe())
    objects = open_objects(out)
    table = pa.ipc.open_file(pa.BufferReader(objects.read(fragment_index.NAME))).read_all()
    nothing = pa.array([[None] * 4], pa.list_(pa.int64()))
    old = table.set_column(5, "fingerprints", nothing).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, old.schema) as writer:
        writer.write_table(old)
    objects.put(fragment_index.NAME, sink.getvalue().to_pybytes())
    refs[1] = refs[1]._replace(version="packed anew")
    assert drafted(refs, out).num_changed == 1


def test_an_image_without_a_size_has_changed_when_its_version_has(out: str) -> None:
    """Those in a Parquet file, of which nobody knows the size before they are read."""
    refs = [ref._replace(size_bytes=None) for ref in images(6)]
    commit_all(out, refs, recipe())
    assert drafted(refs, out).num_changed == 0
    refs[1] = refs[1]._replace(version="packed anew")
    refs[2] = refs[2]._replace(version=None)
    plan = drafted(refs, out)
    assert (plan.num_changed, plan.num_if_changed, plan.num_pending) == (1, 1, 1)


def test_an_index_of_a_part_that_is_gone_is_left_aside(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 1)
    commit_all(out, images(8), recipe())
    plan_labels(images(9), out, recipe())
    open_objects(out).delete(fragment_names(open_objects(out))[0])
    assert drafted(images(8), out).num_pending == 4


def test_a_photograph_that_changed_is_planned_again_in_its_shard(out: str) -> None:
    refs = images(10)
    commit_all(out, refs, recipe())
    refs[1] = refs[1]._replace(version="rewritten")
    refs[5] = refs[5]._replace(size_bytes=7)
    refs[6] = refs[6]._replace(size_bytes=None, version=None)  # a list does not tell: unchanged
    plan = plan_labels(refs, out, recipe())
    assert (plan.num_changed, plan.num_pending, plan.num_done) == (2, 2, 8)
    shards = shard_plans(plan)
    assert {shard.images for shard in shards} == {(refs[1],), (refs[5],)}
    assert all(shard.is_retry for shard in shards)
    for shard in shards:
        write_shard(out, shard, [label(ref) for ref in shard.images], recipe().labels.storage)
    again = plan_labels(refs, out, recipe())
    assert (again.num_changed, again.num_pending) == (0, 0)


def test_a_recipe_may_keep_the_labels_of_photographs_that_changed(out: str) -> None:
    refs = images(3)
    commit_all(out, refs, recipe())
    refs[1] = refs[1]._replace(version="rewritten")
    settings_ = recipe()
    keeps = settings_.model_copy(
        update={"run": settings_.run.model_copy(update={"changed": "keep"})}
    )
    plan = plan_labels(refs, out, keeps)
    assert (plan.num_changed, plan.num_pending) == (1, 0)


@pytest.mark.parametrize(
    ("collection", "vanished"),
    [
        ("photos", ["photos/1.jpg", "photos/deep/2.jpg"]),
        ("photos/deep", ["photos/deep/2.jpg"]),
        ("photos/*.jpg", ["photos/1.jpg"]),
        ("photos/list.csv", ["elsewhere/3.jpg", "photos/1.jpg", "photos/deep/2.jpg"]),
        (None, []),
    ],
)
def test_what_vanished_is_named(
    out: str, tmp_path: Path, collection: str | None, vanished: list[str]
) -> None:
    root = tmp_path / "collection"
    (root / "photos" / "deep").mkdir(parents=True)
    uris = [f"{root}/{name}" for name in ("photos/0.jpg", "photos/1.jpg", "photos/deep/2.jpg",
                                          "elsewhere/3.jpg")]  # fmt: skip
    refs = [ref._replace(uri=uri) for ref, uri in zip(images(4), uris, strict=True)]
    commit_all(out, refs, recipe())
    source = None if collection is None else f"{root}/{collection}"
    plan = plan_labels(refs[:1], out, recipe(), collection=source)
    assert plan.vanished == tuple(f"{root}/{name}" for name in vanished)
    assert plan.num_vanished == len(vanished)


def test_a_bucket_vanishes_by_its_prefix(out: str) -> None:
    refs = [ref._replace(uri=f"s3://bucket/{ref.uri}") for ref in images(2)]
    commit_all(out, refs, recipe())
    assert plan_labels([], out, recipe(), collection="s3://bucket/folder").num_vanished == 2
    assert plan_labels([], out, recipe(), collection="s3://bucket/fold").num_vanished == 0


def noticing(noticed: Noticed, refs: Sequence[ImageRef]) -> Iterator[ImageRef]:
    """List images, and meet trouble on the way."""
    yield from refs
    noticed.fault("/photos/b.tar", "cut short")
    for name in ("a.cr2", "b.cr2"):
        noticed.passed_over(".cr2", f"/photos/{name}")


def test_what_the_listing_noticed_is_in_the_manifest(new_output: Callable[[], str]) -> None:
    out, settings_, noticed = new_output(), recipe(2), Noticed()
    listing = noticing(noticed, images(5))
    plan = plan_labels(listing, out, settings_, noticed=noticed)
    told = Notices(
        (ListingFault("/photos/b.tar", "cut short"),), (PassedOver(".cr2", 2, "/photos/a.cr2"),)
    )
    assert plan.notices == told
    objects = open_objects(out)
    assert manifest.latest_notices(objects) == told
    assert manifest.latest_manifest_ids(objects).to_pylist() == [ref.id for ref in images(5)]
    assert [ref for shard in shard_plans(plan) for ref in shard.images] == list(images(5))


def test_faults_do_not_change_what_work_a_plan_is(new_output: Callable[[], str]) -> None:
    out, settings_, noticed = new_output(), recipe(2), Noticed()
    first = plan_labels(noticing(noticed, images(5)), out, settings_, noticed=noticed)
    second = plan_labels(images(5), out, settings_)
    assert first.manifest is not None
    assert second.manifest is not None
    assert manifest.work_digest(first.manifest) == manifest.work_digest(second.manifest)
    assert manifest.latest_notices(open_objects(out)) == Notices()


def test_images_of_a_place_that_could_not_be_listed_have_not_vanished(
    new_output: Callable[[], str], tmp_path: Path
) -> None:
    out, settings_, noticed = new_output(), recipe(2), Noticed()
    refs = [
        ImageRef("in", f"{tmp_path}/closed/a.jpg", 1, "1"),
        ImageRef("gone", f"{tmp_path}/open/a.jpg", 1, "1"),
        ImageRef("tarred", f"tar://a.jpg::file://{tmp_path}/b.tar", 1, "1"),
    ]
    commit_all(out, refs, settings_, {})
    noticed.fault(f"{tmp_path}/closed", "Permission denied")
    noticed.fault(f"{tmp_path}/b.tar", "cut short")
    plan = plan_labels([], out, settings_, collection=str(tmp_path), noticed=noticed)
    assert plan.vanished == (f"{tmp_path}/open/a.jpg",)
