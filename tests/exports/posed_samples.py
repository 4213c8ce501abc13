"""A stage seen by five cameras: photographs, a COLMAP model with sparse points, and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter

from redepth.config import Storage, load_recipe
from redepth.scenes.scene import Split
from redepth.scenes.views import PosedView, render_views
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, FloatMap, ImageRef, Label
from tests.exports.export_samples import label
from tests.reconstruction.colmap_samples import Doubles, SampleCamera, SampleImage, SampleModel

SIZE_PX = 64
TURNS_DEG = (-14.0, -7.0, 0.0, 7.0, 14.0)
NAMES = tuple(f"walk/{number:02}.png" for number in range(len(TURNS_DEG)))
# What is free of each kind: a label is (true - shift) / scale, true as its kind has it.
FREE: Mapping[DepthKind, tuple[float, float]] = {
    DepthKind.AFFINE_DISPARITY: (0.05, 0.02),
    DepthKind.AFFINE_DEPTH: (3.0, -0.5),
    DepthKind.METRIC_DEPTH: (0.4, 0.0),
}


@dataclass(frozen=True)
class PosedSample:
    """A posed collection on the disk.

    Attributes:
        folder: holds images/, sparse/0/ and labels/.
        views: the truth, in the order of NAMES.
    """

    folder: Path
    views: Sequence[PosedView]
    labels: Labels

    @property
    def colmap(self) -> Path:
        return self.folder / "sparse" / "0"

    def depth(self, name: str) -> FloatMap:
        return self.views[NAMES.index(name)].scene.depth_hw

    def label_id(self, name: str) -> str:
        return f"label-{NAMES.index(name)}"


def write_posed(
    folder: Path,
    kind: DepthKind = DepthKind.AFFINE_DISPARITY,
    *,
    unlabelled: Sequence[str] = (),
    points_a_view: int = 60,
    smoothed: bool = False,
) -> PosedSample:
    """Render the stage and write it all; truth is the label, but for what its kind leaves free.

    Args:
        smoothed: edges of the labels are soft, as those of networks are.
    """
    views = render_views("solids", 3, SIZE_PX, Split.TUNING, TURNS_DEG)
    for name, view in zip(NAMES, views, strict=True):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(view.scene.rgb_hw3).save(folder / "images" / name)
    model_of(views, points_a_view).write_text(folder / "sparse" / "0")
    labels = [
        label_of(number, folder / "images" / name, _label_depth(view, smoothed), kind)
        for number, (name, view) in enumerate(zip(NAMES, views, strict=True))
        if name not in unlabelled
    ]
    return PosedSample(folder, views, write_labels(folder / "labels", labels))


def _label_depth(view: PosedView, smoothed: bool) -> FloatMap:
    depth_hw = view.scene.depth_hw
    return uniform_filter(depth_hw, 3, mode="nearest") if smoothed else depth_hw


def write_labels(out: Path, labels: Sequence[Label]) -> Labels:
    begin(str(out), load_recipe("mini"), [])
    refs = tuple(ImageRef(one.row.id, one.row.uri) for one in labels)
    write_shard(str(out), ShardPlan("a" * 16, "a" * 16, refs), labels, Storage())
    return open_labels(str(out))


def label_of(number: int, photograph: Path, depth_hw: FloatMap, kind: DepthKind) -> Label:
    scale, shift = FREE[kind]
    true_hw = 1 / depth_hw if kind is DepthKind.AFFINE_DISPARITY else depth_hw
    label_hw = ((true_hw - shift) / scale).astype(np.float32)
    made = label(ImageRef(f"label-{number}", str(photograph)), label_hw, kind)
    with Image.open(photograph) as image:
        width_px, height_px = image.size
    row = replace(made.row, image_width_px=width_px, image_height_px=height_px)
    return Label(row, made.arrays)


def model_of(
    views: Sequence[PosedView], points_a_view: int = 60, scale: float = 1.0
) -> SampleModel:
    """Sample points of the true surfaces; each is a feature of every view that sees it.

    Args:
        scale: of the reconstruction: its units a metre.
    """
    rng = np.random.default_rng(0)
    world_n3 = np.concatenate([_sampled(view, points_a_view, rng) for view in views])
    points = {
        number: (float(x), float(y), float(z))
        for number, (x, y, z) in enumerate(scale * world_n3, 1)
    }
    images = [
        SampleImage(
            name, 1, view.rotation_33, scale * view.translation_3, _features(view, world_n3)
        )
        for name, view in zip(NAMES, views, strict=True)
    ]
    return SampleModel({1: camera_of(views[0])}, images, points)


def camera_of(view: PosedView) -> SampleCamera:
    pinhole = view.scene.camera
    assert pinhole is not None
    params = (
        pinhole.focal_x_px, pinhole.focal_y_px, pinhole.centre_x_px + 0.5,
        pinhole.centre_y_px + 0.5,
    )  # fmt: skip
    return SampleCamera("PINHOLE", SIZE_PX, SIZE_PX, params)


def _sampled(view: PosedView, number: int, rng: np.random.Generator) -> Doubles:
    """Return world points behind random pixels."""
    assert view.scene.camera is not None
    points_hw3 = view.scene.camera.unproject(view.scene.depth_hw)
    rows, columns = rng.integers(0, SIZE_PX, (2, number))
    world: Doubles = (points_hw3[rows, columns] - view.translation_3) @ view.rotation_33
    return world


def _features(view: PosedView, world_n3: Doubles) -> list[tuple[float, float, int]]:
    """Return (column, row, number) of the points that nothing hides."""
    assert view.scene.camera is not None
    seen_n3 = world_n3 @ view.rotation_33.T + view.translation_3
    columns, rows = view.scene.camera.project(seen_n3)
    features = []
    for number, (column, row, z) in enumerate(zip(columns, rows, seen_n3[:, 2], strict=True), 1):
        at = round(float(row)), round(float(column))
        inside = all(0 <= place < SIZE_PX for place in at)
        if inside and abs(view.scene.depth_hw[at] / z - 1) < 0.02:
            features.append((float(column) + 0.5, float(row) + 0.5, number))
    return features
