"""Re-reading an output: every row and every pixel, held to what the format promises.

Nothing is taken on trust: names are computed again from what they are digests of, and counts,
kinds, shapes and values are looked at, by what each array group states of its quantities. What an
output holds comes out as one digest, equal for two outputs with the same labels, however they were
cut, interrupted and placed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from redepth.errors import ConfigError, IntegrityError, RedepthError
from redepth.quantities import ALWAYS, QUANTITIES, AnyMap, Quantity, Validity
from redepth.storage_errors import in_words
from redepth.store import arrays, layout
from redepth.store.catalogue import fragment_names, ignored_names, read_fragments
from redepth.store.dataset import Dataset, read_dataset
from redepth.store.digests import content_digest, group_digest, maps_digest, row_digest
from redepth.store.layout import FORMAT_VERSION
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import Fragment
from redepth.types import DepthKind, LabelRow, Outcome

MAX_PROBLEMS = 100
_Maps = Mapping[str, AnyMap]
# A mean over a map is stored in full, the map in float16.
_MEAN_TOLERANCE = 2e-3
_SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Verification:
    """What re-reading an output came to.

    Attributes:
        outcomes: images by outcome.
        num_groups: array groups that were read.
        content_digest: sha256 over ids, rows and pixels, without the facts of the run.
        quantities: whose pixels the digest covers; two outputs compare by the same ones.
        problems: what is wrong, in words; at most MAX_PROBLEMS of them, `num_problems` in all.
        ignored: names in labels/ that no fragment has, such as those of a sync tool's copies.
    """

    outcomes: Mapping[Outcome, int]
    num_groups: int
    content_digest: str
    quantities: Sequence[str]
    problems: Sequence[str]
    num_problems: int
    ignored: Sequence[str] = ()

    @property
    def num_images(self) -> int:
        return sum(self.outcomes.values())


def verify_labels(
    out: str,
    on_part: Callable[[], None] = lambda: None,
    quantities: Sequence[str] | None = None,
) -> Verification:
    """Read every object that counts and say what is not as it should be.

    One shard is held at a time, and 100 bytes for each image.

    Args:
        on_part: called after each fragment.
        quantities: what the content digest covers, None for all that is stored; everything is read
            and held to the format either way.

    Raises:
        ConfigError: there are no labels at `out`, or none of them has one of the quantities.
        CommitConflict: a fragment vanished meanwhile.
    """
    objects = open_objects(out)
    found = _Findings(read_dataset(out), quantities)
    for fragment in read_fragments(objects, None):
        found.take_in(objects, fragment)
        on_part()
    return replace(found.verification(), ignored=ignored_names(objects))


def count_parts(out: str) -> int:
    """Count the fragments of an output: what `on_part` is going to be called for.

    Raises:
        ConfigError: there are no labels at `out`.
    """
    read_dataset(out)
    return len(fragment_names(open_objects(out)))


@dataclass(slots=True)
class _Findings:
    dataset: Dataset
    chosen: Sequence[str] | None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    covered: dict[str, None] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    num_groups: int = 0
    problems: list[str] = field(default_factory=list)
    num_problems: int = 0

    def take_in(self, objects: Objects, fragment: Fragment) -> None:
        rows = fragment.rows()
        self._note(_part_problems(fragment, rows, self.dataset))
        self.outcomes.update(row.outcome for row in rows)
        of_maps: dict[str, bytes] = {}
        for name in sorted({row.array_group for row in rows if row.array_group is not None}):
            members = [row for row in rows if row.array_group == name]
            self.num_groups += 1
            try:
                self._note(self._group_problems(objects, name, members, of_maps))
            except IntegrityError as error:
                self._note([str(error)])
            except RedepthError:  # the storage, which does not say what is stored
                raise
            except Exception as error:  # decoders raise anything
                self._note([f"arrays/{name}: cannot be read ({in_words(error)})"])
        for row in rows:
            if row.id in self.digests:
                self._note(
                    [f"{row.id} is committed twice, the second time in shard {fragment.shard}"]
                )
            self.digests[row.id] = row_digest(row, of_maps.get(row.id, b""))

    def _group_problems(
        self, objects: Objects, name: str, rows: Sequence[LabelRow], of_maps: dict[str, bytes]
    ) -> Iterator[str]:
        """Read a whole group; put the digest of each image's chosen maps into `of_maps`."""
        where = f"arrays/{name}"
        said = arrays.read_group(objects, name)
        problem = _attribute_problem(said, rows, name) or _array_problem(
            objects, name, said, self.dataset
        )
        if problem is not None:
            yield f"{where}: {problem}"
            return
        covered = [one for one in said.by_name if self.chosen is None or one in self.chosen]
        self.covered.update(dict.fromkeys(covered))
        by_index = {row.array_index: row for row in rows}
        digests = []
        for index, padded in enumerate(_padded_maps(objects, name, said)):
            height_px, width_px = said.sizes[index]
            cut = {one: values[:height_px, :width_px] for one, values in padded.items()}
            kind, image_id = DepthKind(said.kind), said.images[index]
            digests.append(maps_digest(image_id, kind, cut))
            row = by_index.get(index)
            if row is not None:
                chosen = {one: cut[one] for one in covered}
                of_maps[row.id] = (
                    maps_digest(image_id, kind, chosen) if self.chosen else digests[-1]
                )
                words = _map_problems(row, said.by_name, padded, cut)
                yield from (f"{where}, {row.id}: {problem}" for problem in words)
        expected = layout.digest_in(name)
        if expected is not None and expected != group_digest(digests):
            yield f"{where}: its pixels are not those that were committed (their digest differs)"

    def verification(self) -> Verification:
        unknown = [one for one in self.chosen or () if one not in self.covered]
        if unknown and self.num_groups:
            raise ConfigError(f"no label here has a map called {', '.join(unknown)}")
        return Verification(
            {outcome: self.outcomes[outcome] for outcome in Outcome},
            self.num_groups,
            content_digest(self.digests.items()),
            tuple(self.covered),
            tuple(self.problems),
            self.num_problems,
        )

    def _note(self, problems: Iterator[str] | Sequence[str]) -> None:
        for problem in problems:
            self.num_problems += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)


def _part_problems(fragment: Fragment, rows: Sequence[LabelRow], dataset: Dataset) -> Iterator[str]:
    where = f"fragment {fragment.shard}"
    if fragment.shard != layout.shard_id(dataset.recipe_digest, [row.id for row in rows]):
        yield f"{where}: its name is not the digest of its recipe and images"
    tries = tuple(layout.array_group(fragment.shard, k) for k in range(len(fragment.array_groups)))
    if fragment.array_groups != tries or not tries:
        yield f"{where}: its tries are {fragment.array_groups}"
    for row in rows:
        yield from (f"{where}, {row.id}: {words}" for words in _row_problems(row, tries))
        if row.shard != fragment.shard:
            yield f"{where}, {row.id}: the row says shard {row.shard}"


def _row_problems(row: LabelRow, tries: Sequence[str]) -> Iterator[str]:
    needed = (row.array_group, row.array_index, row.height_px, row.width_px, row.kind)
    if row.outcome.has_label and None in needed:
        yield f"it {row.outcome.words} and has no pixels, size or kind"
    if not row.outcome.has_label and (row.array_group, row.array_index) != (None, None):
        yield f"it {row.outcome.words} and has pixels"
    if (row.outcome is Outcome.REFINED) != (row.reason is None):
        yield f"it {row.outcome.words} with the reason {row.reason!r}"
    if row.array_group is not None and layout.try_of(row.array_group) not in tries:
        yield f"its array group {row.array_group} is of no try that is committed"


def _attribute_problem(said: arrays.GroupFacts, rows: Sequence[LabelRow], name: str) -> str | None:
    if said.format_version != FORMAT_VERSION:
        return f"format version {said.format_version}, expected {FORMAT_VERSION}"
    if len(said.sizes) != len(said.images):
        return f"{len(said.sizes)} sizes of {len(said.images)} images"
    for row in rows:
        index = -1 if row.array_index is None else row.array_index
        if not 0 <= index < len(said.images) or said.images[index] != row.id:
            return f"{row.id} is to be at {index}, where another image is or none"
        if (row.shard, row.kind) != (said.shard, said.kind):
            of = f"{said.shard} and {said.kind}"
            return f"{row.id} is of shard {row.shard} and {row.kind}, {name} of {of}"
    return None


def _array_problem(
    objects: Objects, name: str, said: arrays.GroupFacts, dataset: Dataset
) -> str | None:
    """Hold the arrays to what the group states, and that to redepth's own quantities."""
    missing = [one.name for one in ALWAYS if one.name not in said.by_name]
    if missing:
        return f"it states no {', '.join(missing)}"
    facts = {one: arrays.read_array(objects, name, one) for one in said.by_name}
    expected = (len(said.images), *facts["coarse"].shape[1:3])
    wrong = {
        one: (facts[one].dtype.name, facts[one].shape)
        for one, quantity in said.by_name.items()
        if facts[one].shape != (expected[0], *quantity.shape((expected[1], expected[2])))
        or facts[one].dtype != np.dtype(quantity.dtype)
        or not _is_own(quantity, dataset)
    }
    return f"arrays of another shape or dtype: {wrong}" if wrong else None


def _is_own(quantity: Quantity, dataset: Dataset) -> bool:
    """Whether a quantity of redepth's is stored as redepth does; those of others are free."""
    own = QUANTITIES.get(quantity.name)
    if own is None:
        return True
    stored = arrays.as_stored(own, dataset.recorded.storage.dtype)
    return (quantity.dtype, quantity.channels) == (stored.dtype, stored.channels)


def _padded_maps(objects: Objects, name: str, said: arrays.GroupFacts) -> Iterator[_Maps]:
    """Yield the maps of image after image, padding included; a group's arrays are all held."""
    columns = {}
    for one, quantity in said.by_name.items():
        opened = arrays.open_array(objects, name, quantity)
        size_hw = (opened.shape[0], opened.shape[1])
        columns[one] = opened.read(0, [size_hw] * len(said.images))
    for index in range(len(said.images)):
        yield {one: column[index] for one, column in columns.items()}


def _map_problems(
    row: LabelRow, quantities: Mapping[str, Quantity], padded: _Maps, cut: _Maps
) -> Iterator[str]:
    if cut["coarse"].shape != (row.height_px, row.width_px):
        yield f"the row says {row.height_px} x {row.width_px} px, its map is {cut['coarse'].shape}"
        return
    yield from _reach_problems(row, cut)
    for name, quantity in quantities.items():
        if _num_told(padded[name], quantity) > _num_told(cut[name], quantity):
            yield f"{name} has values where its padding should be"
        yield from _range_problem(quantity, cut[name])
    if "valid" in cut:
        yield from _validity_problem(cut["valid"], cut["refined"])
    yield from _mean_problem("mean_confidence", row.mean_confidence, cut["confidence"])


def _num_told(values: AnyMap, quantity: Quantity) -> int:
    """Count what is not padding."""
    told = values != 0 if quantity.padding == 0 else ~np.isnan(values)
    return int(np.count_nonzero(told))


def _range_problem(quantity: Quantity, values: AnyMap) -> Iterator[str]:
    low, high = quantity.range
    if (low is not None and (values < low).any()) or (high is not None and (values > high).any()):
        ends = " to ".join("any" if end is None else f"{end:g}" for end in quantity.range)
        yield f"{quantity.name} is not within its range, {ends}"


def _validity_problem(valid_hw: AnyMap, refined_hw: AnyMap) -> Iterator[str]:
    if ((valid_hw == Validity.VALID) != np.isfinite(refined_hw)).any():
        yield "valid says otherwise than refined where there are values"
    if (valid_hw == Validity.PADDING).any():
        yield "valid has padding within the map"


def _reach_problems(row: LabelRow, cut: _Maps) -> Iterator[str]:
    """Say where a map has no value, or one it must not have: metric maps end at the far limit."""
    coarse, refined = cut["coarse"], cut["refined"]
    if row.kind is not DepthKind.METRIC_DEPTH:
        for quantity in ("coarse", "refined"):
            if not np.isfinite(cut[quantity]).all():
                yield f"{quantity} is not finite everywhere"
        return
    for quantity in ("coarse", "refined"):
        if np.isinf(cut[quantity]).any() or (cut[quantity] <= 0).any():
            yield f"{quantity} has depths that are infinite or not above 0 m"
    if np.isfinite(refined[np.isnan(coarse)]).any():
        yield "refined has values beyond the far limit of coarse"
    share = float(np.isnan(refined).mean())
    if row.far_share is None or abs(row.far_share - share) > _SHARE_TOLERANCE:
        yield f"far_share is {row.far_share} in the row and {share:.6g} in the map"


def _mean_problem(name: str, said: float | None, map_hw: AnyMap) -> Iterator[str]:
    known_n = map_hw[np.isfinite(map_hw)].astype(np.float64)
    mean = float(known_n.mean()) if known_n.size else float("nan")
    if said is not None and not abs(said - mean) <= _MEAN_TOLERANCE * max(1.0, abs(said)):
        yield f"{name} is {said:.6g} in the row and {mean:.6g} in the map"
