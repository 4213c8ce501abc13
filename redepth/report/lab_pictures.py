"""The lab's pictures: scenes before and after with their errors, changes, and two curves."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from redepth.lab.confidence import ConfidenceReport
from redepth.lab.experiments import Condition
from redepth.lab.measurement import Measurement
from redepth.lab.results import LabResult, change
from redepth.metrics.depth import relative_error
from redepth.scenes.families import render_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPTH_COLOURS = "magma"
ERROR_COLOURS = "inferno"
COLUMNS = ("picture", "true depth", "coarse", "refined", "error of coarse", "error of refined")
TILE_IN = 1.7
UNTRAINED = "UNTRAINED models (weights from a seed): this is meaningless"


def draw_before_after(measurements: Sequence[Measurement], title: str) -> bytes:
    """Return a PNG with a row a scene; depths of a row share a colour scale, errors another."""
    rows = [m for m in measurements if {Condition.COARSE, Condition.FULL} <= m.depths.keys()]
    figure, grid = _new_figure(
        len(rows), len(COLUMNS), (TILE_IN * len(COLUMNS) + 1.2, (TILE_IN + 0.1) * len(rows) + 0.7)
    )
    for axes, measurement in zip(grid, rows, strict=True):
        _draw_scene(axes, measurement)
    for axis, name in zip(grid[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def choose_scenes(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Return, of each family, the scenes with the best, the median and the worst change."""
    chosen = []
    for family in dict.fromkeys(m.subject.family for m in measurements):
        own = [m for m in measurements if m.subject.family == family and _change_of(m) is not None]
        own.sort(key=lambda m: _change_of(m) or 0.0)
        places = dict.fromkeys((0, len(own) // 2, len(own) - 1)) if own else ()
        chosen += [own[place] for place in places]
    return chosen


def draw_changes(result: LabResult) -> bytes:
    """Return a PNG with the change of AbsRel and of normals of every condition in every group."""
    num_rows = sum(len(group.conditions) for group in result.groups)
    figure, grid = _new_figure(1, 2, (10.5, 1.2 + 0.24 * num_rows))
    for axis, figure_name, words in zip(
        grid[0], ("abs_rel", "normal_deg"), ("AbsRel", "normal angle"), strict=True
    ):
        _draw_forest(axis, result, figure_name)
        axis.set_xlabel(f"{words}, change against coarse (left is better)")
    if result.facts.untrained:
        figure.suptitle(UNTRAINED, color="crimson", fontsize=10)
    return _png(figure)


def draw_sparsification(report: ConfidenceReport) -> bytes:
    """Return a PNG: the mean error that is left when the least sure pixels are taken away."""
    figure, ((axis,),) = _new_figure(1, 1, (6.0, 4.2))
    for ranking in report.rankings:
        share = np.arange(len(ranking.curve_k)) / len(ranking.curve_k)
        axis.plot(share, ranking.curve_k, label=f"{ranking.name} (AUSE {ranking.ause:.2f})")
    oracle = report.rankings[0].oracle_k
    axis.plot(share, oracle, color="black", linestyle="--", label="oracle (0)")
    axis.axhline(1.0, color="grey", linestyle=":", label="random (1)")
    axis.set_xlabel("share of pixels taken away, the least sure first")
    axis.set_ylabel("AbsRel of what is left, relative")
    axis.legend(fontsize=7)
    axis.set_title(f"mean of {report.num_held_out} held-out scenes", fontsize=9)
    return _png(figure)


def draw_reliability(report: ConfidenceReport) -> bytes:
    """Return a PNG: for each factor, the share of pixels within it against the probability."""
    factors = list(dict.fromkeys(fit.mapping.within for fit in report.fits))
    figure, (axes,) = _new_figure(1, len(factors), (4.6 * len(factors), 4.4))
    for axis, within in zip(axes, factors, strict=True):
        axis.plot((0, 1), (0, 1), color="grey", linestyle=":")
        for fit in report.fits:
            if fit.mapping.within == within:
                x = [entry.predicted for entry in fit.reliability.bins]
                y = [entry.observed for entry in fit.reliability.bins]
                label = f"{fit.name} (ECE {fit.reliability.ece:.3f})"
                axis.plot(x, y, marker="o", markersize=3, label=label)
        axis.set_xlabel("probability")
        axis.set_ylabel("share that is")
        axis.set_title(f"within {within:g} of the true depth", fontsize=9)
        axis.legend(fontsize=7)
    return _png(figure)


def _draw_scene(axes: Sequence[Axes], measurement: Measurement) -> None:
    subject = measurement.subject
    coarse, full = (measurement.depths[c] for c in (Condition.COARSE, Condition.FULL))
    scene = render_scene(subject.family, subject.seed, len(coarse), subject.split)
    axes[0].imshow(scene.rgb_hw3)
    low, high = np.quantile(scene.depth_hw, (0.005, 0.995))
    for axis, depth in zip(axes[1:4], (scene.depth_hw, coarse, full), strict=True):
        axis.imshow(depth, cmap=DEPTH_COLOURS, vmin=low, vmax=high)
    errors = [relative_error(depth, scene.depth_hw) for depth in (coarse, full)]
    worst = float(np.quantile(errors, 0.99)) or 1.0
    for axis, error in zip(axes[4:], errors, strict=True):
        shown = axis.imshow(error, cmap=ERROR_COLOURS, vmin=0.0, vmax=worst)
        axis.set_xlabel(f"AbsRel {error.mean():.4f}", fontsize=7)
    bar = axes[-1].figure.colorbar(shown, ax=axes[-1], shrink=0.8)
    bar.ax.tick_params(labelsize=6)
    found = _change_of(measurement)
    words = "" if found is None else f"\n{found:+.0%}"
    axes[0].set_ylabel(f"{subject.family} {subject.seed}{words}", fontsize=7)
    axes[0].set_xlabel(fill(measurement.caption, 34), fontsize=5)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])


def _draw_forest(axis: Axes, result: LabResult, figure_name: str) -> None:
    names: list[str] = []
    for group in result.groups:
        measurements = result.of_group(group)
        for condition in group.conditions:
            found = change(measurements, condition, figure_name)
            if found is None or condition is Condition.COARSE:
                continue
            place, colour = (
                -len(names),
                "C3" if found.worsened else "C0" if found.improved else "0.5",
            )
            axis.plot((found.low, found.high), (place, place), color=colour)
            axis.plot(found.change, place, "o", color=colour, markersize=4)
            names.append(f"{group.name}: {condition.summary}")
    axis.axvline(0.0, color="black", linewidth=0.6)
    axis.set_yticks([-place for place in range(len(names))], names, fontsize=7)
    axis.set_xlim(-0.65, 0.65)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")


def _change_of(measurement: Measurement) -> float | None:
    found = change([measurement], Condition.FULL, "abs_rel")
    return None if found is None else found.change


def _new_figure(
    num_rows: int, num_columns: int, size_in: tuple[float, float]
) -> tuple[Figure, list[list[Axes]]]:
    # The object interface, not pyplot: no global state, no display, safe in a task's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [list(row) for row in figure.subplots(num_rows, num_columns, squeeze=False)]


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
