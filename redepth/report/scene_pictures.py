"""Draw scenes: picture | depth | normals, a family a row."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from redepth.scenes.families import render_batch
from redepth.scenes.scene import Scene, Split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEPTH_COLOURS = "magma"
TILE_IN = 1.35
PARTS = ("picture", "depth, dark = near", "normals")


def draw_collection_sheet(
    families: Sequence[str], size_px: int, split: Split, first_seed: int, per_family: int
) -> bytes:
    """Return the sheet of the first scenes of each family, rendered anew."""
    seeds = range(first_seed, first_seed + per_family)
    scenes = [scene for name in families for scene in render_batch(name, seeds, size_px, split)]
    return draw_scene_sheet(scenes, f"{split.value} scenes, {size_px} px, from seed {first_seed}")


def draw_scene_sheet(scenes: Sequence[Scene], title: str) -> bytes:
    """Return a PNG with a row a family: each scene's picture, depth and normals, and its caption.

    Scenes of a family must follow one another. Normals are shown as (n + 1) / 2 with x to the right
    and y up, the usual colours.
    """
    # The object interface, not pyplot: no global state, no display, safe in a task's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [list(group) for _, group in groupby(scenes, key=lambda scene: scene.family)]
    columns = len(PARTS) * max(map(len, rows))
    size = (TILE_IN * columns, (TILE_IN + 0.32) * len(rows) + 0.6)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0.0, hspace=0.0)
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axis in grid.flat:
        axis.set_axis_off()
    for axes, row in zip(grid, rows, strict=True):
        for start, scene in enumerate(row):
            _draw_scene(axes[len(PARTS) * start : len(PARTS) * (start + 1)], scene)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_scene(axes: Sequence[Axes], scene: Scene) -> None:
    axes[0].imshow(scene.rgb_hw3)
    axes[1].imshow(scene.depth_hw, cmap=DEPTH_COLOURS)
    axes[2].imshow((scene.normal_hw3 * np.array([-1.0, -1.0, 1.0]) + 1.0) / 2.0)
    axes[1].set_title(fill(f"{scene.family}: {scene.caption}", 66), fontsize=5.5)
