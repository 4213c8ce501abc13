"""The small collection and output that snippets of docs/ run in."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.config import Storage, load_recipe
from redepth.images.collection import list_images
from redepth.quantities import VALID, Validity
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, ModelCard, Outcome

CARD = ModelCard("coarse", "mini", "models/mini", None, "a" * 64, "Apache-2.0")
LABEL_HW, PHOTO_HW = (24, 32), (48, 64)
ENDED = {6: Outcome.FELL_BACK, 7: Outcome.REJECTED}


def write_collection(photographs: Path, out: Path) -> None:
    """Write eight photographs and, without a model, an output of two shards that labels them.

    Six are refined, one fell back, one was rejected. The maps follow the photographs' brightness,
    so that there is something to learn from them.
    """
    photographs.mkdir(parents=True)
    for i in range(8):
        write_photograph(photographs / f"{i:04}.png", seed=i)
    write_labels(photographs, out)


def write_labels(photographs: Path, out: Path, settings: tuple[str, ...] = ()) -> None:
    """Write the output alone, of the recipe mini with these settings changed."""
    begin(str(out), load_recipe("mini", settings), [CARD])
    refs = list(list_images(str(photographs)))
    for name, chosen in (("1" * 16, refs[:4]), ("2" * 16, refs[4:])):
        labels = [label(ref, ENDED.get(refs.index(ref), Outcome.REFINED)) for ref in chosen]
        write_shard(str(out), ShardPlan(name, name, tuple(chosen)), labels, Storage())


def write_truth(photographs: Path, truth: Path) -> None:
    """Write a depth for every photograph in TUM's layout; what is bright is near."""
    (truth / "depth").mkdir(parents=True)
    for path in photographs.glob("*.png"):
        with Image.open(path) as image:
            depth_m = 1.0 / (0.2 + np.asarray(image.convert("L"), dtype=np.float64) / 255)
        Image.fromarray((depth_m * 5000).astype(np.uint16)).save(truth / "depth" / path.name)


def write_photograph(path: Path, seed: int) -> None:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(rough).resize(PHOTO_HW[::-1], Image.Resampling.BICUBIC).save(path)


def label(ref: ImageRef, outcome: Outcome) -> Label:
    height_px, width_px = LABEL_HW
    row = LabelRow(id=ref.id, uri=ref.uri, outcome=outcome, seconds=1.5, size_bytes=ref.size_bytes)
    row = replace(row, image_height_px=PHOTO_HW[0], image_width_px=PHOTO_HW[1])
    sha256 = hashlib.sha256(Path(ref.uri).read_bytes()).hexdigest()
    row = replace(row, sha256=sha256)
    if not outcome.has_label:
        return Label(replace(row, reason=f"it {outcome.words}"))
    arrays = maps_of(ref, outcome)
    row = replace(row, height_px=height_px, width_px=width_px, kind=DepthKind.AFFINE_DISPARITY)
    if outcome is Outcome.FELL_BACK:
        return Label(replace(row, reason="the order of depth was lost"), arrays)
    confidence, spread = float(arrays["confidence"].mean()), float(arrays["spread"].mean())
    row = replace(row, drift=0.02, rank_correlation=0.98, num_members=3)
    return Label(replace(row, mean_confidence=confidence, mean_spread=spread), arrays)


def maps_of(ref: ImageRef, outcome: Outcome) -> LabelArrays:
    """Take brightness for disparity; what is bright is near, and what is dark is uncertain."""
    with Image.open(ref.uri) as image:
        grey = image.convert("L").resize(LABEL_HW[::-1], Image.Resampling.BOX)
    coarse_hw = np.asarray(grey, dtype=np.float32) / np.float32(255)
    valid = {VALID: np.full(LABEL_HW, Validity.VALID, dtype=np.uint8)}
    if outcome is Outcome.FELL_BACK:
        absent = np.full_like(coarse_hw, np.nan)
        return LabelArrays.of_depth(coarse_hw, coarse_hw, absent, absent, valid)
    spread_hw = (np.float32(1) - coarse_hw) / np.float32(20)
    confidence_hw = np.exp(-spread_hw * np.float32(4))
    return LabelArrays.of_depth(coarse_hw, coarse_hw**2, spread_hw, confidence_hw, valid)
