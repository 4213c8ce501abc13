"""Draw labels: photograph | coarse | refined | confidence, and errors where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from redepth.exports.colour_png import in_colours, limits_of
from redepth.printable import one_line
from redepth.quantities import COARSE, CONFIDENCE, REFINED, AnyMap, Quantity
from redepth.report.scene_errors import SceneErrors
from redepth.types import ByteImage, DepthKind, Extra, FloatMap, LabelRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

DEPTH_COLOURS = REFINED.colour_map
CONFIDENCE_COLOURS = CONFIDENCE.colour_map
UNTRAINED_WARNING = "UNTRAINED models (weights from a seed): these maps are meaningless"
ERROR_COLOURS = "inferno"
UNDEFINED_COLOUR = "0.5"  # grey, which no colour map has
ALWAYS_DRAWN = (COARSE.name, REFINED.name, CONFIDENCE.name)
ERROR_COLUMNS = ("coarse error", "refined error")
_KNOWN = {"photograph", *ALWAYS_DRAWN, *ERROR_COLUMNS}
COLUMN_WIDTH_IN = 3.0
TALLEST = 1.25  # height over width of a column's picture: taller ones are drawn narrower
TITLE_IN = 0.62  # of a row: its name, and the columns' names
HEAD_IN = 0.8
DOTS_PER_INCH = 90
SHEET_PHOTOGRAPH_PX = 360
LABEL_PHOTOGRAPH_PX = 720
MAX_NAME_CHARS = 80
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
    return _drawn([picture], None, COLUMN_WIDTH_IN * 1.5, with_bars=True)


def draw_contact_sheet(pictures: Sequence[LabelPicture], title: str) -> bytes:
    """Return a PNG with one row a label; coarse and refined of a row share one colour scale.

    Columns that no label has anything for are left out: a refined map where nothing was refined, a
    confidence without an ensemble, errors where no true depth is known.
    """
    return _drawn(pictures, title, COLUMN_WIDTH_IN, with_bars=False)


def _drawn(
    pictures: Sequence[LabelPicture], title: str | None, width_in: float, *, with_bars: bool
) -> bytes:
    # The object interface, not pyplot: no global state, no display, safe in a task's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = _columns(pictures)
    heights = [_height_in(picture, width_in) for picture in pictures]
    size = (width_in * len(columns), sum(heights) + HEAD_IN)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    _head(figure, title, [picture.row for picture in pictures])
    rows = figure.subfigures(len(pictures), 1, height_ratios=heights, squeeze=False)
    for row, picture in zip(rows[:, 0], pictures, strict=True):
        axes = _empty_axes(row, columns)
        row.suptitle(_row_title(picture.row), x=0.008, ha="left", fontsize=9, parse_math=False)
        _draw_row(axes, picture, with_bars=with_bars)
    return _png(figure)


def _columns(pictures: Sequence[LabelPicture]) -> tuple[str, ...]:
    """Return the names of the columns that a picture has something for."""
    always = [COARSE.name]
    if not all(np.array_equal(p.coarse_hw, p.refined_hw, equal_nan=True) for p in pictures):
        always.append(REFINED.name)
    if any(np.isfinite(picture.confidence_hw).any() for picture in pictures):
        always.append(CONFIDENCE.name)
    extra = dict.fromkeys(quantity.name for picture in pictures for quantity in picture.extra)
    errors = ERROR_COLUMNS if any(picture.errors is not None for picture in pictures) else ()
    return ("photograph", *always, *extra, *errors)


def _height_in(picture: LabelPicture, width_in: float) -> float:
    shown = picture.coarse_hw if picture.photograph_hw3 is None else picture.photograph_hw3
    height_px, width_px = int(shown.shape[0]), int(shown.shape[1])
    return width_in * min(height_px / width_px, TALLEST) + TITLE_IN


def _empty_axes(row: SubFigure, columns: Sequence[str]) -> dict[str, Axes]:
    """Return axes without ticks by the name of their column."""
    axes = dict(zip(columns, row.subplots(1, len(columns), squeeze=False)[0], strict=True))
    for name, axis in axes.items():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(name, fontsize=8, color="0.35")
    return axes


def _draw_row(axes: Mapping[str, Axes], picture: LabelPicture, *, with_bars: bool) -> None:
    """Draw a picture into axes by the name of their column; what it lacks stays white."""
    _draw_photograph(axes["photograph"], picture)
    low, high = shared_range(picture)
    for name, map_hw in ((COARSE.name, picture.coarse_hw), (REFINED.name, picture.refined_hw)):
        if name in axes:
            axes[name].set_facecolor(UNDEFINED_COLOUR)
            _draw_map(axes[name], map_hw, DEPTH_COLOURS, (low, high), with_bar=with_bars)
    if CONFIDENCE.name in axes:
        _draw_confidence(axes[CONFIDENCE.name], picture.confidence_hw, with_bar=with_bars)
    for quantity, values in picture.extra.items():
        _draw_quantity(axes[quantity.name], quantity, values)
    lacking = axes.keys() - _KNOWN - {quantity.name for quantity in picture.extra}
    for name in lacking:
        axes[name].set_visible(False)
    errors = [axes[name] for name in ERROR_COLUMNS if name in axes]
    _draw_errors(errors, picture.errors, with_bars=with_bars)


def _draw_map(
    axis: Axes, map_hw: FloatMap, colours: str, limits: tuple[float, float], *, with_bar: bool
) -> None:
    low, high = limits
    # Maps may be smaller than the picture of them: drawn as they would be resized.
    image = axis.imshow(map_hw, cmap=colours, vmin=low, vmax=high, interpolation="bilinear")
    if with_bar:
        axis.figure.colorbar(image, ax=axis, shrink=0.7)


def _draw_quantity(axis: Axes, quantity: Quantity, values: AnyMap) -> None:
    if not np.isfinite(values).any():
        _say(axis, "no value\nanywhere")
        return
    limits = limits_of(quantity, values)
    axis.imshow(in_colours(quantity.colour_map, values, limits))
    axis.set_xlabel(f"{limits[0]:.3g} to {limits[1]:.3g}", fontsize=7)


def _draw_photograph(axis: Axes, picture: LabelPicture) -> None:
    if picture.photograph_hw3 is None:
        words = "cannot be read" if picture.unread is None else picture.unread.summary
        _say(axis, f"the photograph\n{words}")
    else:
        axis.imshow(picture.photograph_hw3)


def _draw_confidence(axis: Axes, confidence_hw: FloatMap, *, with_bar: bool) -> None:
    if not np.isfinite(confidence_hw).any():
        _say(axis, "none: it takes an\nensemble of 2 or more")
        return
    _draw_map(axis, confidence_hw, CONFIDENCE_COLOURS, (0.0, 1.0), with_bar=with_bar)


def _draw_errors(axes: Sequence[Axes], errors: SceneErrors | None, *, with_bars: bool) -> None:
    """Draw coarse and refined error on one scale, their means below; nothing where unknown."""
    if errors is None:
        for axis in axes:
            axis.set_visible(False)
        return
    maps = (errors.coarse_hw, errors.refined_hw)
    high = float(np.nanquantile(np.concatenate([map_hw.ravel() for map_hw in maps]), 0.99))
    for axis, map_hw in zip(axes, maps, strict=True):
        _draw_map(axis, map_hw, ERROR_COLOURS, (0.0, high), with_bar=with_bars)
        axis.set_xlabel(f"AbsRel {np.nanmean(map_hw):.3f}", fontsize=8)


def _say(axis: Axes, words: str) -> None:
    axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes, fontsize=8)
    axis.set_facecolor("0.95")


def shared_range(picture: LabelPicture) -> tuple[float, float]:
    """Return one colour range for coarse and refined, 1 % to 99 %, so that they compare."""
    both = np.concatenate((picture.coarse_hw.ravel(), picture.refined_hw.ravel()))
    low, high = np.nanquantile(both, (0.01, 0.99))
    return float(low), float(high)


def _head(figure: Figure, title: str | None, rows: Sequence[LabelRow]) -> None:
    kinds = {row.kind for row in rows if row.kind is not None}
    words = "; ".join(KIND_WORDS[kind] for kind in sorted(kinds))
    if title is not None:
        words = f"{one_line(title, MAX_TITLE_CHARS)}\n{words}"
    # A name may have two $ in it: it is no formula.
    figure.suptitle(words, fontsize=10, parse_math=False)
    if any(row.untrained for row in rows):
        figure.supxlabel(UNTRAINED_WARNING, fontsize=10, color="crimson", weight="bold")


def _row_title(row: LabelRow) -> str:
    name = one_line(row.id)
    if len(name) > MAX_NAME_CHARS:
        half = MAX_NAME_CHARS // 2
        name = f"{name[:half]}...{name[-half:]}"
    return f"{name}    {one_line(_facts(row), MAX_TITLE_CHARS)}"


def _facts(row: LabelRow) -> str:
    parts = [row.outcome_words]
    if row.drift:
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


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
