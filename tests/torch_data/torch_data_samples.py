"""A small output with photographs, for the tests of loading and of the example."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.config import Decoding, Storage, load_recipe
from redepth.images.decode import read_image
from redepth.images.uris import image_id
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.objects import open_objects
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import ByteImage, DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

CONFIDENT = "outcome = 'refined' and mean_confidence > 0.5"
IMAGES_PER_SHARD = 5
PHOTO_HW = (48, 64)


def write_output(root: str, num_images: int) -> Labels:
    """Write photographs below a folder or URL and labels of all but two, in shards of five.

    Disparity is the photograph's brightness; what is dark is uncertain, every other image more so.
    """
    out = f"{root}/labels"
    refs = [write_photograph(root, seed) for seed in range(num_images)]
    begin(out, load_recipe("mini"), [])
    for start in range(0, num_images, IMAGES_PER_SHARD):
        chosen = tuple(refs[start : start + IMAGES_PER_SHARD])
        labels = [label(ref, is_labelled=refs.index(ref) not in (3, 17)) for ref in chosen]
        plan = ShardPlan(f"{start:016x}", f"{start:016x}", chosen)
        write_shard(out, plan, labels, Storage())
    return open_labels(out)


def write_photograph(root: str, seed: int) -> ImageRef:
    uri = f"{root}/{seed:04}.png"
    file = io.BytesIO()
    Image.fromarray(photograph(seed)).save(file, format="PNG")
    open_objects(root).put(f"{seed:04}.png", file.getvalue())
    return ImageRef(image_id(uri), uri)


def photograph(seed: int) -> ByteImage:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return at_size(rough, *PHOTO_HW)


def at_size(rgb_hw3: ByteImage, height_px: int, width_px: int) -> ByteImage:
    """What redepth makes of a photograph at another size."""
    size = (width_px, height_px)
    return np.array(Image.fromarray(rgb_hw3).resize(size, Image.Resampling.BICUBIC))


def label(ref: ImageRef, *, is_labelled: bool) -> Label:
    row = LabelRow(id=ref.id, uri=ref.uri, outcome=Outcome.REFINED)
    if not is_labelled:
        return Label(replace(row, outcome=Outcome.REJECTED, reason="no photograph"))
    seed = int(Path(ref.uri).stem)
    coarse_hw = at_size(photograph(seed), 24, 32).mean(axis=2, dtype=np.float32) / 255
    confidence_hw = coarse_hw**0.5 * (1.0 if seed % 2 else 0.5)
    arrays = LabelArrays.of_depth(coarse_hw, coarse_hw * 2, 1 - confidence_hw, confidence_hw)
    row = replace(row, sha256=read_image(ref, Decoding()).sha256)
    row = replace(row, height_px=24, width_px=32, kind=DepthKind.AFFINE_DISPARITY)
    row = replace(row, image_height_px=PHOTO_HW[0], image_width_px=PHOTO_HW[1])
    return Label(replace(row, mean_confidence=float(confidence_hw.mean())), arrays)
