"""Draw histograms and curves as SVG: text and colours are the page's own, by light and by dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib wants colours, a page has roles: these stand in for the roles until the end.
_TEXT, _GRID, _BARS = "#010101", "#020202", "#030303"
_ROLES = {_TEXT: "currentColor", _GRID: "var(--line)", _BARS: "var(--bars)"}
_SIZE_IN = (4.4, 2.5)


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """What a histogram shows.

    Attributes:
        name: unique on the page; letters only.
        quantity: the axis of values, with its unit.
        what: what is counted.
        edges, counts: [n + 1] and [n].
    """

    name: str
    quantity: str
    what: str
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ShareCurve:
    """What a share of the images brings, from 0 to 1.

    Attributes:
        name: unique on the page; letters only.
        across, up: what the axes are, in per cent.
        x, y: [n] each, the curve.
        marked: a point on it.
        meant: where on the axis across the point was meant to be.
    """

    name: str
    across: str
    up: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    marked: tuple[float, float]
    meant: float


def draw_histogram(plot: Plot, spoken: str) -> str:
    """Return an `<svg>` element without a background; `spoken` is read out in its place."""
    return _svg(plot.name, spoken, lambda figure: _draw(figure, plot))


def draw_share_curve(curve: ShareCurve, spoken: str) -> str:
    """Return an `<svg>` element as `draw_histogram` does; small shares are drawn wider."""
    return _svg(curve.name, spoken, lambda figure: _draw_curve(figure, curve))


def _svg(name: str, spoken: str, draw: Callable[[Figure], None]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Text stays text: it takes the page's font, can be searched, and is a tenth of the bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(buffer.getvalue(), name, spoken)


def _draw(figure: Figure, plot: Plot) -> None:
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    axes.bar(
        plot.edges[:-1], plot.counts, np.diff(plot.edges), align="edge", color=_BARS, linewidth=0
    )
    axes.set_xlim(plot.edges[0], plot.edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    _dress(axes, plot.quantity, plot.what)


def _draw_curve(figure: Figure, curve: ShareCurve) -> None:
    axes = figure.subplots()
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    axes.plot(curve.x, curve.y, color=_BARS, linewidth=1.8)
    axes.axvline(curve.meant, color=_TEXT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot(*curve.marked, "o", color=_TEXT, markersize=6)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05)
    axes.set_xticks([0, 0.01, 0.03, 0.1, 0.3, 1], ["0", "1", "3", "10", "30", "100"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    _dress(axes, curve.across, curve.up)


def _dress(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across, color=_TEXT)
    axes.set_ylabel(up, color=_TEXT)
    axes.tick_params(colors=_TEXT, length=0, pad=5)
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)


def _for_page(svg: str, name: str, spoken: str) -> str:
    """Cut the document down to its element, with roles for colours and ids of its own."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, role in _ROLES.items():
        svg = svg.replace(colour, role)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", svg)
    svg = re.sub(r"<style.*?</style>|font-family: [^;\"]*;", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(spoken)}"', 1)
