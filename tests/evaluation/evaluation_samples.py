"""Outputs and ground truth with planted errors, written without any model or photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.config import Storage, load_recipe
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, ModelCard, Outcome

HW = (24, 32)
KIND = DepthKind.AFFINE_DISPARITY


def true_depth(seed: int) -> np.ndarray:
    """Return a depth from 1 to 5 m in whole tum codes: a slope with a box before it."""
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    depth: np.ndarray = 3.0 + 2.0 * rows / HW[0] + 0.01 * seed * columns / HW[1]
    depth[6:14, 8 + seed % 8 : 20 + seed % 8] = 1.5
    return np.round(depth * 5000) / 5000


def erring_disparity(seed: int, error: float) -> np.ndarray:
    """Return 1 / depth with a relative error of a known deviation, scaled and shifted."""
    noise = np.random.default_rng(1000 + seed).normal(0.0, error, HW)
    return (5.0 / (true_depth(seed) * (1.0 + noise)) - 0.25).astype(np.float32)


def planted_label(
    image_id: str, seed: int, coarse_error: float = 0.1, refined_error: float = 0.05
) -> Label:
    """Return a label whose spread is what its refined map errs by, pixel by pixel."""
    coarse = erring_disparity(seed, coarse_error)
    refined = erring_disparity(seed, refined_error)
    exact = erring_disparity(seed, 0.0)
    spread = np.abs(refined - exact) + np.float32(1e-4)
    maps = LabelArrays.of_depth(coarse, refined, spread, np.exp(-spread / 0.1).astype(np.float32))
    row = LabelRow(id=image_id, uri=f"/photos/{image_id}.png", outcome=Outcome.REFINED)
    row = replace(
        row, kind=KIND, height_px=HW[0], width_px=HW[1], image_height_px=HW[0],
        image_width_px=HW[1], drift=0.05, mean_confidence=float(maps["confidence"].mean()),
        seconds=2.0,
    )  # fmt: skip
    return Label(row, maps)


def without_confidence(label: Label) -> Label:
    assert label.arrays is not None
    absent = np.full(HW, np.nan, dtype=np.float32)
    arrays = LabelArrays.of_depth(label.arrays["coarse"], label.arrays["coarse"], absent, absent)
    row = replace(label.row, outcome=Outcome.FELL_BACK, reason="it collapsed", mean_confidence=None)
    return Label(row, arrays)


def rejected(image_id: str) -> Label:
    uri = f"/photos/{image_id}.png"
    return Label(LabelRow(id=image_id, uri=uri, outcome=Outcome.REJECTED, reason="no photograph"))


def write_output(out: Path, labels: list[Label], *, untrained: bool = False, steps: int = 9) -> str:
    """Commit labels as one shard and return the output's URL."""
    recipe = load_recipe("mini", (f"labels.refiner.num_steps={steps}",))
    card = ModelCard("coarse", "mini", "here", None, "a" * 64, "Apache-2.0", untrained=untrained)
    begin(str(out), recipe, [card])
    refs = tuple(ImageRef(label.row.id, label.row.uri) for label in labels)
    write_shard(str(out), ShardPlan("a" * 16, "a" * 16, refs), labels, Storage())
    return str(out)


def write_truth(root: Path, seeds: dict[str, int], *, exist_ok: bool = False) -> Path:
    """Write depth files in the format of TUM, one a label, and return the folder."""
    (root / "depth").mkdir(parents=True, exist_ok=exist_ok)
    for image_id, seed in seeds.items():
        codes = np.round(true_depth(seed) * 5000).astype(np.uint16)
        Image.fromarray(codes).save(root / "depth" / f"{image_id}.png")
    return root
