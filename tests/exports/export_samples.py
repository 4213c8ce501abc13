"""Outputs of any kind and size to export."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.config import Storage, load_recipe
from redepth.exports import exporters
from redepth.exports.posed.part import PosedFormat
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import (
    DepthKind,
    FloatMap,
    ImageRef,
    Label,
    LabelArrays,
    LabelRow,
    Outcome,
)

# The formats whose maps are read back; the others are pictures to look at, or a trainer's.
HOLDING_NUMBERS = [name for name, format in exporters.own.items() if format.holds_numbers]
# The formats that need nothing beside the labels; test_posed_formats.py has the others.
NEEDING_NOTHING = [
    name for name, format in exporters.own.items() if not isinstance(format, PosedFormat)
]

# What an id from somebody's list may look like.
IDS = ("kitchen-1", "attic.0001", "a/b", "..", "grün~ %", "f", "last")


def write_labels(
    out: str,
    maps: Mapping[str, FloatMap],
    kind: DepthKind,
    shards: int = 2,
    at: str | None = None,
) -> Labels:
    """Commit a label for each id: `maps` refined, half of it coarse, and a made-up confidence.

    The photographs are the files 0.png, 1.png, ... of the folder that `out` lies in, or of `at`.
    """
    begin(out, load_recipe("mini"), [])
    refs = [
        ImageRef(image_id, f"{at or Path(out).parent}/{i}.png") for i, image_id in enumerate(maps)
    ]
    for number in range(shards):
        chosen = tuple(refs[number::shards])
        labels = [label(ref, maps[ref.id], kind) for ref in chosen]
        plan = ShardPlan(f"{number:016x}", f"{number:016x}", chosen)
        write_shard(out, plan, labels, Storage())
    return open_labels(out)


def label(ref: ImageRef, refined_hw: FloatMap, kind: DepthKind) -> Label:
    rng = np.random.default_rng(refined_hw.size)
    confidence_hw = rng.random(refined_hw.shape, dtype=np.float32)
    arrays = LabelArrays.of_depth(
        refined_hw / np.float32(2), refined_hw, confidence_hw * np.float32(3), confidence_hw
    )
    height_px, width_px = refined_hw.shape
    path = Path(ref.uri)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    row = LabelRow(
        id=ref.id, uri=ref.uri, outcome=Outcome.REFINED, kind=kind, mean_confidence=0.5,
        height_px=height_px, width_px=width_px, caption="a field", sha256=sha256,
    )  # fmt: skip
    return Label(row, arrays)


def some_maps(ids: Sequence[str] = IDS, largest: float = 10.0) -> dict[str, FloatMap]:
    """Return maps of different sizes, with some invalid pixels."""
    maps = {}
    for number, image_id in enumerate(ids):
        rng = np.random.default_rng(number)
        maps[image_id] = rng.uniform(0.5, largest, (5 + number, 7)).astype(np.float32)
        maps[image_id][0, :number] = np.nan
    return maps


def write_photographs(folder: Path, number: int) -> None:
    for i in range(number):
        pixels = np.random.default_rng(i).integers(0, 255, (24, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
