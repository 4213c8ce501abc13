"""The reconstruction that an export is aligned to, and a label as a view of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from redepth.errors import ConfigError
from redepth.exports.items import Item
from redepth.exports.posed.settings import AlignedSettings, LeavingOut
from redepth.geometry.camera import Pinhole
from redepth.geometry.points import BoolMap, flying_pixels
from redepth.printable import one_line
from redepth.quantities import CONFIDENCE, Quantity
from redepth.reconstruction.aligning import (
    AlignmentRules,
    SparseAlignment,
    align_to_points,
    aligned_depth,
    unaligned,
)
from redepth.reconstruction.colmap import read_colmap
from redepth.reconstruction.model import PosedImage, Reconstruction, SeenPoints
from redepth.reconstruction.ply import read_ply
from redepth.reconstruction.transforms import read_transforms
from redepth.types import FloatMap

# What inverse depth files reach to: so many times that of the nearest points.
_NEARER_THAN_POINTS = 4.0
_NEAREST_POINTS = 0.999
_FARTHEST_POINTS = 0.99


@dataclass(frozen=True)
class Scene:
    """A reconstruction, with its pictures by name."""

    reconstruction: Reconstruction
    rules: AlignmentRules

    @cached_property
    def images(self) -> Mapping[str, PosedImage]:
        return {image.name: image for image in self.reconstruction.images}

    @cached_property
    def largest_inverse_depth(self) -> float:
        """What 16 bits of inverse depth reach to: 4 times the 99.9 % quantile of what is seen."""
        seen = [self.reconstruction.seen(image).depth_n for image in self.reconstruction.images]
        depth_n = np.concatenate(seen) if seen else np.zeros(0)
        if not depth_n.size:
            raise ConfigError("no picture of the reconstruction sees a point: nothing to align to")
        return _NEARER_THAN_POINTS * float(np.quantile(1 / depth_n, _NEAREST_POINTS))


def open_scene(settings: AlignedSettings) -> Scene:
    """Read what the settings name.

    Raises:
        ConfigError: a file is missing or damaged, no picture, or two that share a stem, as the
            files beside them would.
    """
    reconstruction = _read(settings)
    if not reconstruction.images:
        raise ConfigError("the reconstruction has no picture")
    stems = Counter(image.stem.lower() for image in reconstruction.images)
    alike = [image.name for image in reconstruction.images if stems[image.stem.lower()] > 1]
    if alike:
        raise ConfigError(
            f"{one_line(', '.join(alike[:2]), 200)} differ by suffix or capitals alone, and so "
            "would be the files beside them: rename one, and reconstruct again"
        )
    return Scene(reconstruction, settings.rules)


def _read(settings: AlignedSettings) -> Reconstruction:
    points = None if settings.lidar is None else read_ply(settings.lidar)
    if settings.colmap is not None:
        model = read_colmap(settings.colmap)
        return model if points is None else model.with_points(points.xyz_n3, points.rgb_n3)
    assert settings.transforms is not None and points is not None, "the settings say so"
    return read_transforms(settings.transforms, points)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A label in its scene.

    Attributes:
        alignment: how its depth was aligned, or why it was not.
        depth_hw: float32 [H, W], z-depth in the scene's unit; NaN where it is unaligned, invalid,
            or left out.
        camera: at the label's size.
    """

    item: Item
    image: PosedImage
    alignment: SparseAlignment
    depth_hw: FloatMap
    camera: Pinhole

    @property
    def confidence_hw(self) -> FloatMap | None:
        """The label's confidence, where it is exported."""
        return _named(self.item, CONFIDENCE.name)


def view_of(item: Item, scene: Scene, settings: AlignedSettings) -> View:
    """Align a label to the points of its picture."""
    image = scene.images[item.name]
    label_hw, kind = item.maps[depth_quantity(list(item.maps))], item.row.kind
    assert kind is not None, "a label has a kind"
    camera = image.camera.pinhole((label_hw.shape[0], label_hw.shape[1]))
    seen = scene.reconstruction.seen(image)
    refusal = _another_picture(item, image)
    alignment = (
        unaligned(refusal) if refusal else align_to_points(label_hw, kind, seen, scene.rules)
    )
    depth_hw = np.full_like(label_hw, np.nan)
    if alignment.is_aligned:
        depth_hw = aligned_depth(label_hw, kind, alignment)
        if settings.leaving_out is not None:
            left_out_hw = _left_out(item, depth_hw, camera, seen, settings.leaving_out)
            depth_hw = np.where(left_out_hw, np.float32(np.nan), depth_hw)
    return View(item, image, alignment, depth_hw, camera)


def _another_picture(item: Item, image: PosedImage) -> str | None:
    """Say why a photograph cannot be what its camera saw, None if it can."""
    width_px, height_px = item.row.image_width_px, item.row.image_height_px
    camera = image.camera
    if not width_px or not height_px or camera.fits(width_px, height_px):
        return None
    return (
        f"the photograph is {width_px} x {height_px}, and its camera "
        f"{camera.width_px} x {camera.height_px}: it was turned or cropped since"
    )


def _left_out(
    item: Item, depth_hw: FloatMap, camera: Pinhole, seen: SeenPoints, rules: LeavingOut
) -> BoolMap:
    """Return the pixels that are to have no depth although the label has a value there."""
    farthest = rules.max_depth_ratio * float(np.quantile(seen.depth_n, _FARTHEST_POINTS))
    left_out_hw: BoolMap = depth_hw > farthest
    if not rules.keep_edges:
        left_out_hw |= flying_pixels(depth_hw, camera)
    if rules.min_confidence is not None:
        confidence_hw = _named(item, CONFIDENCE.name)
        assert confidence_hw is not None, "it was asked for"
        left_out_hw |= ~(confidence_hw >= rules.min_confidence)
    return left_out_hw


def _named(item: Item, quantity: str) -> FloatMap | None:
    return next((map_hw for one, map_hw in item.maps.items() if one.name == quantity), None)


def depth_quantity(quantities: Sequence[Quantity]) -> Quantity:
    """Return the one depth map of an export; others may be a confidence alone.

    Raises:
        ConfigError: none or several, or something else.
    """
    depths = [one for one in quantities if one.is_depth]
    others = {one.name for one in quantities} - {CONFIDENCE.name, *(one.name for one in depths)}
    if len(depths) != 1 or others:
        raise ConfigError(
            "an aligned export holds one map of depth, and perhaps the confidence: give "
            "--quantity refined,confidence"
        )
    return depths[0]
