"""Draw labels: photograph | coarse | refined | confidence, and errors where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from redepth.exports.colour_png import in_colours, limits_of
from redepth.printable import one_line
from redepth.quantities import COARSE, CONFIDENCE, REFINED
from redepth.report.scene_errors import SceneErrors
from redepth.types import ByteImage, DepthKind, Extra, FloatMap, LabelRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPTH_COLOURS = REFINED.colour_map
CONFIDENCE_COLOURS = CONFIDENCE.colour_map
UNTRAINED_WARNING = "UNTRAINED models (weights from a seed): these maps are meaningless"
ERROR_COLOURS = "inferno"
UNDEFINED_COLOUR = "0.5"  # grey, which no colour map has
ALWAYS_DRAWN = (COARSE.name, REFINED.name, CONFIDENCE.name)
ERROR_COLUMNS = ("coarse error", "refined error")
ROW_HEIGHT_IN = 2.3
COLUMN_WIDTH_IN = 3.0
DOTS_PER_INCH = 90
MAX_TITLE_CHARS = 300

KIND_WORDS = {
    DepthKind.AFFINE_DISPARITY: "disparity up to scale and shift, bright = near",
    DepthKind.AFFINE_DEPTH: "depth up to scale and shift, dark = near",
    DepthKind.METRIC_DEPTH: "depth in metres, dark = near",
}


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a photograph is not shown.

    Attributes:
        summary: what a count of such photographs says.
        reason: of this one.
    """

    summary: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelPicture:
    """One label ready to be drawn.

    Attributes:
        row: its line of the catalogue.
        photograph_hw3: uint8 [h, w, 3], the same frame as the maps but not always their size; None
            if the file that was labelled cannot be read.
        coarse_hw, refined_hw, confidence_hw: float32 [H, W].
        errors: where the truth is known, as of rendered scenes.
        extra: what else of the label is drawn.
        unread: why there is no photograph.
    """

    row: LabelRow
    photograph_hw3: ByteImage | None
    coarse_hw: FloatMap
    refined_hw: FloatMap
    confidence_hw: FloatMap
    errors: SceneErrors | None = None
    extra: Extra = field(default_factory=dict)
    unread: Unread | None = None


def draw_label(picture: LabelPicture) -> bytes:
    """Return a PNG of one label, with colour bars and what the catalogue says of it."""
    columns = _columns([picture])
    figure, axes = _new_figure(1, columns, ROW_HEIGHT_IN * 1.9, COLUMN_WIDTH_IN * 1.5)
    _draw_row(dict(zip(columns, axes[0], strict=True)), picture, with_bars=True)
    _head(figure, f"{picture.row.id}    {_facts(picture.row)}", [picture.row])
    return _png(figure)


def draw_contact_sheet(pictures: Sequence[LabelPicture], title: str) -> bytes:
    """Return a PNG with one row a label; coarse and refined of a row share one colour scale."""
    columns = _columns(pictures)
    figure, axes = _new_figure(len(pictures), columns, ROW_HEIGHT_IN, COLUMN_WIDTH_IN)
    for row_axes, picture in zip(axes, pictures, strict=True):
        _draw_row(dict(zip(columns, row_axes, strict=True)), picture, with_bars=False)
        row_axes[0].set_ylabel(_side_note(picture.row), fontsize=7, parse_math=False)
    _head(figure, title, [picture.row for picture in pictures])
    return _png(figure)


def _columns(pictures: Sequence[LabelPicture]) -> tuple[str, ...]:
    extra = dict.fromkeys(quantity.name for picture in pictures for quantity in picture.extra)
    errors = ERROR_COLUMNS if any(picture.errors is not None for picture in pictures) else ()
    return ("photograph", *ALWAYS_DRAWN, *extra, *errors)


def _new_figure(
    num_rows: int, columns: Sequence[str], height_in: float, width_in: float
) -> tuple[Figure, list[list[Axes]]]:
    """Make a grid of empty axes with the columns' names above."""
    # The object interface, not pyplot: no global state, no display, safe in a task's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width_in * len(columns), height_in * num_rows + 0.9)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(num_rows, len(columns), squeeze=False)
    for axis in grid.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, name in zip(grid[0], columns, strict=True):
        axis.set_title(name, fontsize=10)
    return figure, [list(row) for row in grid]


def _draw_row(axes: Mapping[str, Axes], picture: LabelPicture, *, with_bars: bool) -> None:
    """Draw a picture into axes by the name of their column."""
    _draw_photograph(axes["photograph"], picture)
    low, high = shared_range(picture)
    for name, map_hw in ((COARSE.name, picture.coarse_hw), (REFINED.name, picture.refined_hw)):
        axes[name].set_facecolor(UNDEFINED_COLOUR)
        image = axes[name].imshow(map_hw, cmap=DEPTH_COLOURS, vmin=low, vmax=high)
        if with_bars:
            axes[name].figure.colorbar(image, ax=axes[name], shrink=0.7)
    _draw_confidence(axes[CONFIDENCE.name], picture.confidence_hw, with_bars=with_bars)
    for quantity, values in picture.extra.items():
        if not np.isfinite(values).any():
            _say(axes[quantity.name], "no value\nanywhere")
            continue
        limits = limits_of(quantity, values)
        axes[quantity.name].imshow(in_colours(quantity.colour_map, values, limits))
        axes[quantity.name].set_xlabel(f"{limits[0]:.3g} to {limits[1]:.3g}", fontsize=7)
    errors = [axes[name] for name in ERROR_COLUMNS if name in axes]
    _draw_errors(errors, picture.errors, with_bars=with_bars)


def _draw_photograph(axis: Axes, picture: LabelPicture) -> None:
    if picture.photograph_hw3 is None:
        words = "cannot be read" if picture.unread is None else picture.unread.summary
        _say(axis, f"the photograph\n{words}")
    else:
        axis.imshow(picture.photograph_hw3)


def _draw_confidence(axis: Axes, confidence_hw: FloatMap, *, with_bars: bool) -> None:
    if not np.isfinite(confidence_hw).any():
        _say(axis, "none: it takes an\nensemble of 2 or more")
        return
    image = axis.imshow(confidence_hw, cmap=CONFIDENCE_COLOURS, vmin=0.0, vmax=1.0)
    if with_bars:
        axis.figure.colorbar(image, ax=axis, shrink=0.7)


def _draw_errors(axes: Sequence[Axes], errors: SceneErrors | None, *, with_bars: bool) -> None:
    """Draw coarse and refined error on one scale, their means above; say where none is known."""
    if errors is None:
        for axis in axes:
            _say(axis, "true depth unknown")
        return
    maps = (errors.coarse_hw, errors.refined_hw)
    high = float(np.nanquantile(np.concatenate([map_hw.ravel() for map_hw in maps]), 0.99))
    for axis, map_hw in zip(axes, maps, strict=True):
        image = axis.imshow(map_hw, cmap=ERROR_COLOURS, vmin=0.0, vmax=high)
        axis.set_xlabel(f"AbsRel {np.nanmean(map_hw):.3f}", fontsize=7)
        if with_bars:
            axis.figure.colorbar(image, ax=axis, shrink=0.7)


def _say(axis: Axes, words: str) -> None:
    axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes, fontsize=8)
    axis.set_facecolor("0.95")


def shared_range(picture: LabelPicture) -> tuple[float, float]:
    """Return one colour range for coarse and refined, 1 % to 99 %, so that they compare."""
    both = np.concatenate((picture.coarse_hw.ravel(), picture.refined_hw.ravel()))
    low, high = np.nanquantile(both, (0.01, 0.99))
    return float(low), float(high)


def _head(figure: Figure, title: str, rows: Sequence[LabelRow]) -> None:
    kinds = {row.kind for row in rows if row.kind is not None}
    words = "; ".join(KIND_WORDS[kind] for kind in sorted(kinds))
    # A name may have two $ in it: it is no formula.
    title = one_line(title, MAX_TITLE_CHARS)
    figure.suptitle(f"{title}\n{words}", fontsize=10, parse_math=False)
    if any(row.untrained for row in rows):
        figure.supxlabel(UNTRAINED_WARNING, fontsize=10, color="crimson", weight="bold")


def _facts(row: LabelRow) -> str:
    parts = [row.outcome.words]
    if row.drift is not None:
        parts.append(f"drift {row.drift:.1%}")
    if row.mean_confidence is not None:
        parts.append(f"confidence {row.mean_confidence:.2f}")
    if row.far_share:
        parts.append(f"{row.far_share:.1%} beyond the far limit")
    if row.num_members:
        parts.append(f"{row.num_members} member{'s' if row.num_members > 1 else ''}")
    if row.reason:
        parts.append(row.reason)
    return ", ".join(parts)


def _side_note(row: LabelRow) -> str:
    name = one_line(row.id)
    name = name if len(name) <= 28 else f"{name[:12]}...{name[-12:]}"
    drift = "" if row.drift is None else f"\ndrift {row.drift:.1%}"
    confidence = "" if row.mean_confidence is None else f", conf. {row.mean_confidence:.2f}"
    return f"{name}\n{row.outcome.words}{drift}{confidence}"


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
