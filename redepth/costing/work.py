"""FLOPs of a recipe, and the seconds that a device would need for them at its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from redepth.coarse import coarse_models
from redepth.coarse.part import Coarse
from redepth.config import LabelSettings
from redepth.costing.devices import Limits
from redepth.flops import Flops, ImageWork, add_flops
from redepth.refiners import refiners
from redepth.refiners.part import WorkContext

# Nobody knows a photograph's shape before it is read: most are 4 : 3.
_USUAL_ASPECT = 3 / 4


def usual_image(labels: LabelSettings) -> ImageWork:
    """Return the work of a photograph of 4 : 3 at the recipe's size."""
    width_px = labels.coarse.size_px
    return ImageWork(round(width_px * _USUAL_ASPECT), width_px)


def recipe_flops(labels: LabelSettings, image: ImageWork) -> Flops | None:
    """Return the FLOPs of one image by dtype; None where a part of the recipe states none.

    They are of the presets' architectures: weights of one's own may be of another.
    """
    coarse, refiner = labels.coarse_model, refiners[labels.refiner.method]
    probed = [_probe_flops(labels, other, image) for other in labels.probes.forwards(labels.coarse)]
    if coarse.flops is None or refiner.flops is None:
        return None
    refined = refiner.flops(labels.refiner, WorkContext(coarse, labels.compute, image))
    known = [flops for flops in probed if flops is not None]
    if refined is None or len(known) < len(probed):
        return None
    return add_flops((coarse.flops(labels.coarse, image), *known, refined))


def _probe_flops(labels: LabelSettings, other: Coarse, image: ImageWork) -> Flops | None:
    """Return the FLOPs of a probe's forward, at its own size."""
    model, scale = coarse_models[other.preset], other.size_px / labels.coarse.size_px
    height_px, width_px = round(image.height_px * scale), round(image.width_px * scale)
    own = replace(image, height_px=height_px, width_px=width_px)
    return None if model.flops is None else model.flops(other, own)


def seconds_at_limit(flops: Flops, limits: Limits) -> float | None:
    """Return the least seconds for FLOPs; None where the device has no limit for a dtype.

    Each dtype runs at its own limit, one after the other.
    """
    if not flops.keys() <= limits.keys():
        return None
    return sum(count / limits[dtype] for dtype, count in flops.items())


def flops_of_images(labels: LabelSettings, images: Iterable[tuple[ImageWork, int]]) -> Flops | None:
    """Return the FLOPs of many images, given as kinds of work and how many there are of each."""
    found = []
    for image, number in images:
        flops = recipe_flops(labels, image)
        if flops is None:
            return None
        found.append({dtype: number * count for dtype, count in flops.items()})
    return add_flops(found)
