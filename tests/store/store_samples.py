"""Images, labels and recipes for the tests of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from redepth.config import Recipe
from redepth.quantities import REFINED
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
