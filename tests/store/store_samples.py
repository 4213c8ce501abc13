"""Images, labels and recipes for the tests of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from redepth.config import Recipe
from redepth.images.locator import relocated
from redepth.quantities import REFINED
from redepth.store.kept import labels_to_keep
from redepth.store.manifest import ShardPlan, read_shard_plans
from redepth.store.planning import Plan, plan_labels
from redepth.store.shards import ShardCommit, write_shard
from redepth.types import (
    DepthKind,
    FloatMap,
    ImageRef,
    Label,
    LabelArrays,
    LabelRow,
    ModelCard,
    Outcome,
)

CARD = ModelCard("coarse", "mini", "seed 0", None, "a" * 64, "Apache-2.0", untrained=True)


def recipe(images_per_shard: int = 4, **labels: object) -> Recipe:
    values = {
        "name": "test",
        "labels": labels,
        "run": {"sharding": {"images_per_shard": images_per_shard}},
    }
    return Recipe.model_validate(values)


def image(number: int) -> ImageRef:
    name = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    return ImageRef(name, f"folder/{number:04}.jpg", size_bytes=1000 + number, version=str(number))


def images(num: int) -> list[ImageRef]:
    return [image(number) for number in range(num)]


def maps(seed: int, height_px: int, width_px: int, *, single: bool = False) -> LabelArrays:
    """Make random maps; `single` as an ensemble of one has them, without spread or confidence."""
    rng = np.random.default_rng(seed)
    coarse, refined, spread, confidence = rng.random((4, height_px, width_px), dtype=np.float32)
    if single:
        spread = confidence = np.full_like(coarse, np.nan)
    return LabelArrays.of_depth(coarse * 10, refined * 10, spread, confidence)


def label(
    ref: ImageRef,
    outcome: Outcome = Outcome.REFINED,
    size: tuple[int, int] = (6, 9),
    *,
    single: bool = False,
) -> Label:
    """Label an image; its maps are a function of its id and size."""
    row = LabelRow(
        id=ref.id, uri=ref.uri, outcome=outcome, size_bytes=ref.size_bytes, version=ref.version
    )
    if not outcome.has_label:
        return Label(replace(row, reason=f"it {outcome.words}"))
    seed = int(hashlib.sha256(ref.id.encode()).hexdigest()[:8], 16)
    row = replace(row, height_px=size[0], width_px=size[1], kind=DepthKind.AFFINE_DISPARITY)
    if outcome is Outcome.FELL_BACK:
        row = replace(row, reason="it fell back")
    return Label(row, maps(seed, *size, single=single))


def label_of(ref: ImageRef, content: str = "", outcome: Outcome = Outcome.REFINED) -> Label:
    """Label an image whose bytes are known; its maps are a function of its id and its bytes."""
    one = label(ref, outcome)
    sha256 = hashlib.sha256(f"{ref.id} {content}".encode()).hexdigest()
    row = replace(one.row, sha256=sha256, offset_bytes=ref.offset_bytes)
    one = replace(one, row=row)
    return with_refined(one, arrays_of(one)["refined"] + len(content)) if one.arrays else one


def label_or_keep(
    out: str,
    shard: ShardPlan,
    contents: Mapping[str, str],
    outcomes: Mapping[str, Outcome] | None = None,
) -> list[Label]:
    """Do what a run does with a shard: label what has other bytes, keep the labels of the rest.

    Args:
        outcomes: of images that are labelled; those not named are refined.
    """
    before, ended = labels_to_keep(out, shard), outcomes or {}
    new = {
        ref.id: label_of(ref, contents.get(ref.id, ""), ended.get(ref.id, Outcome.REFINED))
        for ref in shard.images
    }
    return [
        Label(relocated(before[image_id], one.row))
        if image_id in before and before[image_id].sha256 == one.row.sha256
        else one
        for image_id, one in new.items()
    ]


def touched(refs: Sequence[ImageRef], version: str = "touched") -> list[ImageRef]:
    """Return images as a listing sees them after `touch`."""
    return [ref._replace(version=f"{ref.version} {version}") for ref in refs]


def arrays_of(one: Label) -> LabelArrays:
    """Return the maps of a label that has some."""
    assert one.arrays is not None
    return one.arrays


def with_refined(one: Label, refined_hw: FloatMap) -> Label:
    """Return a label with another refined map."""
    assert one.arrays is not None
    maps = {quantity: one.arrays[quantity.name] for quantity in one.arrays.quantities}
    return replace(one, arrays=LabelArrays({**maps, REFINED: refined_hw}))


def shard_plans(plan: Plan) -> list[ShardPlan]:
    return (
        [] if plan.manifest is None else list(read_shard_plans(plan.manifest, 0, plan.num_shards))
    )


def commit_all(
    out: str,
    refs: Sequence[ImageRef],
    settings: Recipe,
    outcomes: dict[str, Outcome] | None = None,
    retry: Iterable[Outcome] = (),
) -> list[ShardCommit]:
    """Plan and commit everything; images not named in `outcomes` are refined."""
    plan = plan_labels(refs, out, settings, frozenset(retry))
    return [
        write_shard(
            out,
            shard,
            [label(ref, (outcomes or {}).get(ref.id, Outcome.REFINED)) for ref in shard.images],
            settings.labels.storage,
        )
        for shard in shard_plans(plan)
    ]
