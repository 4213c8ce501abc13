"""A small output made without engines: photographs, labels of every outcome, hostile names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.config import Recipe
from redepth.images.collection import list_images
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, ModelCard, Outcome

SCRIPT = "<script>alert(1)</script>"
CARDS = (
    ModelCard("coarse", "big", "hub/big", "abc123", "a" * 64, "CC-BY-NC-4.0", non_commercial=True),
    ModelCard("prior", "mini", "seed 0", None, "b" * 64, "Apache-2.0", untrained=True),
)
SIZE_PX = (40, 60)


def write_output(
    folder: Path,
    number: int = 6,
    kind: DepthKind | None = None,
    cards: Sequence[ModelCard] = CARDS,
    methods: Sequence[str] = (),
    drift: float = 0.01,
) -> str:
    """Label `number` photographs and one that is broken; the second fell back.

    Args:
        methods: that made the labels, in turn, by the photographs' numbers.
        drift: of the first label; the n-th has n times as much.
    """
    _write_photographs(folder / "photographs", number)
    kind = kind or DepthKind.AFFINE_DISPARITY
    return _label_all(folder, "labels", kind, cards, methods, drift)


def label_again(folder: Path, kind: DepthKind) -> str:
    """Label the photographs of `write_output` once more, the numbers being of another kind."""
    return _label_all(folder, "again", kind)


def maps(seed: int, size_px: Sequence[int] = SIZE_PX) -> LabelArrays:
    """Return a slope with a step, moved a little; the same for the same seed."""
    height_px, width_px = size_px
    coarse = np.tile(np.linspace(1, 4, width_px, dtype=np.float32), (height_px, 1))
    coarse[height_px // 2 :] += 2 + seed
    noise = np.random.default_rng(seed).normal(0, 0.05, coarse.shape).astype(np.float32)
    confidence = np.exp(-10 * np.abs(noise)).astype(np.float32)
    return LabelArrays.of_depth(coarse, coarse + noise, np.abs(noise), confidence)


def _label_all(
    folder: Path,
    name: str,
    kind: DepthKind,
    cards: Sequence[ModelCard] = CARDS,
    methods: Sequence[str] = (),
    drift: float = 0.01,
) -> str:
    recipe = Recipe.model_validate({"name": "own", "run": {"sharding": {"images_per_shard": 4}}})
    out = str(folder / name)
    plan = plan_labels(list_images(str(folder / "photographs")), out, recipe)
    begin(out, recipe, cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        labels = [_label(image, kind, methods, drift) for image in shard.images]
        write_shard(out, shard, labels, recipe.labels.storage)
    return out


def _write_photographs(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    for seed in range(number):
        name = '<b>bold & "quoted".png' if seed == 0 else f"{seed:02}.png"
        pixels = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((120, 80)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")


def _label(image: ImageRef, kind: DepthKind, methods: Sequence[str], drift: float) -> Label:
    name = Path(image.uri).stem
    row = LabelRow(id=image.id, uri=image.uri, outcome=Outcome.REFINED, device="cpu", seconds=2.0)
    if name == "broken":
        return Label(replace(row, outcome=Outcome.REJECTED, reason=f"truncated {SCRIPT}"))
    seed = int(name) if name.isdigit() else 0
    arrays = maps(seed)
    row = replace(
        row,
        sha256=hashlib.sha256(Path(image.uri).read_bytes()).hexdigest(),
        kind=kind,
        height_px=SIZE_PX[0],
        width_px=SIZE_PX[1],
        image_height_px=80,
        image_width_px=120,
        caption=f"a picture {SCRIPT}" if seed == 0 else f"picture number {seed}",
        num_members=3,
        refined_by=methods[seed % len(methods)] if methods else None,
        drift=drift * (seed + 1),
        rank_correlation=0.99,
        mean_confidence=float(arrays["confidence"].mean()) - 0.05 * seed,
    )
    if seed == 1:
        none = np.full(SIZE_PX, np.nan, np.float32)
        fell = replace(row, outcome=Outcome.FELL_BACK, reason="order lost", mean_confidence=None)
        return Label(fell, LabelArrays.of_depth(arrays["coarse"], arrays["coarse"], none, none))
    return Label(row, arrays)
