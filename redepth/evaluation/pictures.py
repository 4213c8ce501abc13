"""What the stored confidence knows, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from redepth.evaluation.coverage import Coverage, KeptRow
from redepth.evaluation.evaluate import ImageScores
from redepth.evaluation.summary import Curves, Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_sparsification(curves: Curves, images: Sequence[ImageScores]) -> bytes:
    """Return a PNG: the error that is left when the least sure pixels are taken away.

    Thin lines are single images, thick ones their mean.
    """
    figure, axis = _new_figure()
    share = np.arange(len(curves.curve_k)) / len(curves.curve_k)
    for image in images:
        if image.sparsification is not None:
            axis.plot(share, image.sparsification.curve_k, color="C0", alpha=0.2, linewidth=0.7)
    ause = float(np.nanmean([image.ause for image in images]))
    axis.plot(
        share, curves.curve_k, color="C0", linewidth=2.0, label=f"confidence (AUSE {ause:.2f})"
    )
    axis.plot(share, curves.oracle_k, color="black", linestyle="--", label="oracle (0)")
    axis.axhline(1.0, color="grey", linestyle=":", label="random order (1)")
    axis.set_xlabel("share of pixels taken away, the least sure first")
    axis.set_ylabel("AbsRel of what is left, over that of all")
    axis.set_title(
        f"sparsification, images: {curves.num_images}; {_alignment_words(images)}", fontsize=9
    )
    axis.legend(fontsize=8)
    return _png(figure)


def draw_reliability(
    named: Sequence[tuple[str, Reliability]], images: Sequence[ImageScores]
) -> bytes:
    """Return a PNG: the share of pixels that are right against their probability.

    Args:
        images: those that were measured; the title says how they were aligned.
    """
    figure, axis = _new_figure()
    axis.plot((0, 1), (0, 1), color="grey", linestyle=":", label="calibrated")
    for name, found in named:
        predicted = [entry.predicted for entry in found.bins]
        observed = [entry.observed for entry in found.bins]
        label = f"{name} (ECE {found.ece:.3f})"
        axis.plot(predicted, observed, marker="o", markersize=4, label=label)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1)
    axis.set_xlabel("probability")
    axis.set_ylabel("share of pixels that are right")
    axis.set_title(
        f"right: within a factor of {named[0][1].within:g} of the ground truth; "
        f"{_alignment_words(images)}",
        fontsize=9,
    )
    axis.legend(fontsize=8)
    return _png(figure)


def draw_risk(rows: Sequence[KeptRow], images: Sequence[ImageScores]) -> bytes:
    """Return a PNG: the AbsRel of the surest pixels of each image against their share."""
    figure, axis = _new_figure()
    share = [100 * row.share for row in rows]
    whole = rows[0].abs_rel
    axis.plot(share, [row.abs_rel for row in rows], marker="o", markersize=4, label="surest")
    axis.plot(
        share, [whole * row.oracle for row in rows], color="black", linestyle="--", label="oracle"
    )
    axis.axhline(whole, color="grey", linestyle=":", label="random")
    axis.set_xlim(100, 0)
    axis.set_ylim(0, None)
    axis.set_xlabel("share of each image's pixels that is kept, in per cent")
    axis.set_ylabel("AbsRel of what is kept")
    axis.set_title(f"risk and coverage; {_alignment_words(images)}", fontsize=9)
    axis.legend(fontsize=8)
    return _png(figure)


def draw_coverage(found: Coverage) -> bytes:
    """Return a PNG: the share of pixels inside their interval by tenth of the confidence."""
    figure, axis = _new_figure()
    shares = [100 * row.coverage for row in found.by_confidence]
    axis.bar(range(1, len(shares) + 1), shares, color="C0", alpha=0.7)
    axis.axhline(100 * found.promised, color="black", linestyle="--", label="promised")
    axis.axhline(100 * found.whole.coverage, color="C1", label="all pixels")
    axis.set_ylim(60.0 if min(shares) >= 60.0 else 0.0, 100.0)  # every bar has a height
    axis.set_xticks(range(1, len(shares) + 1))
    axis.set_xlabel("tenth of the confidence, the least sure first")
    axis.set_ylabel("pixels inside their interval, in per cent")
    axis.legend(fontsize=8, loc="lower right")
    return _png(figure)


def _alignment_words(images: Sequence[ImageScores]) -> str:
    return f"alignment: {', '.join(dict.fromkeys(image.alignment for image in images))}"


def _new_figure() -> tuple[Figure, Axes]:
    # The object interface, not pyplot: no global state, no display, safe in a task's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
