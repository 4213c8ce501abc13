"""The histograms and curves of a page, with what they show in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from redepth.refiners.triage import RoutingFacts
from redepth.report.figures import CatalogueFigures, Histogram
from redepth.report.pictures import LabelPicture
from redepth.report.plots import Plot, ShareCurve, draw_histogram, draw_share_curve
from redepth.types import DepthKind, FloatMap

MAX_BINS = 32
# The last half per cent may lie far off and would press all others into one bar.
_SHARE_SHOWN = 0.995
_PIXELS_PER_LABEL = 20_000
_CURVE_POINTS = 101


@dataclass(frozen=True, slots=True)
class Chart:
    """A histogram or a curve.

    Attributes:
        svg: trusted markup, made by `redepth.report.plots`.
        words: what it shows, for those who cannot see it and for those who doubt it.
    """

    title: str
    svg: str
    words: str


def charts_of(
    figures: CatalogueFigures, kind: DepthKind, sample: Sequence[LabelPicture]
) -> tuple[Chart, ...]:
    found = []
    if figures.confidence.num_values:
        quantity = "mean confidence of a label (0 to 1)"
        found.append(unit_chart("Confidence", quantity, figures.confidence))
    if figures.drift.num_values and figures.drift.mean:
        found.append(
            share_chart("Drift", "drift of a label (share of coarse range)", figures.drift)
        )
    if sample:
        found.append(_depth_chart(kind, sample, figures.num_labels))
    return tuple(found)


def budget_chart(methods: Mapping[str, int], routing: RoutingFacts) -> Chart:
    """Draw the expected gain of a budget, and mark the share that went to the expensive method.

    Args:
        methods: labels by the method that made them; at least one.
    """
    total, number = sum(methods.values()), methods.get(routing.expensive, 0)
    share, triage = number / total, routing.triage
    gain = triage.expected_gain(share)
    words = (
        f"{number:,} of {total:,} labels ({share:.1%}) were made by {routing.expensive}, the dot; "
        f"the budget was {100 * routing.budget:.3g}%, the dashed line. Of the "
        f"{triage.num_images:,} held-out images of the triage, such a share had {gain:.1%} of what "
        f"{routing.expensive} changed in all of them. A collection unlike theirs sends another "
        "share, and has another curve."
    )
    shares = np.linspace(0.0, 1.0, _CURVE_POINTS) ** 2
    curve = ShareCurve(
        name="budget",
        across="share of images for the expensive method (%)",
        up="expected gain (%)",
        x=shares,
        y=np.array([triage.expected_gain(float(one)) for one in shares]),
        marked=(share, gain),
        meant=routing.budget,
    )
    svg = draw_share_curve(curve, f"Curve of the expected gain over the share of images. {words}")
    return Chart("Expected gain", svg, words)


def unit_chart(title: str, quantity: str, whole: Histogram) -> Chart:
    """Draw a value that has all of 0 to 1 to be in."""
    return _chart(title, quantity, whole, whole.shown(1.0, MAX_BINS), "{:.2f}")


def share_chart(title: str, quantity: str, whole: Histogram) -> Chart:
    """Draw a share up to its largest value, or to where nearly all end if that lies far off."""
    largest, nearly_all = whole.quantile(1.0), whole.quantile(_SHARE_SHOWN)
    high = max(largest if largest <= 3 * nearly_all else nearly_all, 0.01)
    return _chart(title, quantity, whole, whole.shown(high, MAX_BINS), "{:.1%}")


def _chart(title: str, quantity: str, whole: Histogram, shown: Histogram, form: str) -> Chart:
    """Draw a histogram over labels; the words are of all values, not of the shown ones."""
    middle = _spread_words([whole.quantile(q) for q in (0.5, 0.05, 0.95)], form)
    words = f"{whole.num_values:,} labels: {middle}."
    beyond = whole.num_values - shown.num_values
    if beyond:
        words += f" Beyond the right edge and not drawn: {beyond:,}."
    plot = Plot(title.lower(), quantity, "labels", shown.edges, shown.counts)
    return Chart(title, draw_histogram(plot, f"Histogram of {quantity}. {words}"), words)


def _depth_chart(kind: DepthKind, sample: Sequence[LabelPicture], num_labels: int) -> Chart:
    """Draw how depth is spread over the pixels of some labels, each in its own range if affine."""
    values = np.concatenate([_depth_values(p.refined_hw, kind) for p in sample])
    high = float(np.quantile(values, _SHARE_SHOWN))
    metric = kind is DepthKind.METRIC_DEPTH
    counts, edges = np.histogram(values, MAX_BINS, (0.0, high if metric else 1.0))
    shares = 100.0 * counts / max(counts.sum(), 1)
    quantity = _depth_quantity(kind)
    drawn = " drawn at random" if len(sample) < num_labels else ""
    number = "1 label" if len(sample) == 1 else f"{len(sample)} labels{drawn}"
    middle = _spread_words([float(np.quantile(values, q)) for q in (0.5, 0.05, 0.95)], "{:.2f}")
    words = f"Pixels of {number}: {middle}. {_depth_note(kind)}"
    plot = Plot("depth", quantity, "share of pixels (%)", edges, shares)
    title = "Disparity" if kind.grows_towards_camera else "Depth"
    return Chart(title, draw_histogram(plot, f"Histogram of {quantity}. {words}"), words)


def _depth_values(map_hw: FloatMap, kind: DepthKind) -> FloatMap:
    values = map_hw[np.isfinite(map_hw)]
    values = values[:: -(-len(values) // _PIXELS_PER_LABEL) or 1]
    if kind is DepthKind.METRIC_DEPTH or not len(values):
        return values
    low, high = np.quantile(values, (0.01, 0.99))
    share: FloatMap = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    return share


def _depth_quantity(kind: DepthKind) -> str:
    if kind is DepthKind.METRIC_DEPTH:
        return "refined depth (m)"
    if kind.grows_towards_camera:
        return "refined disparity (no unit; 0 far, 1 near)"
    return "refined depth (no unit; 0 near, 1 far)"


def _depth_note(kind: DepthKind) -> str:
    if kind is DepthKind.METRIC_DEPTH:
        return "Metric depth, in metres."
    return (
        "Scale and shift are unknown, so each label is shown in its own range, from the "
        "1% to the 99% quantile."
    )


def _spread_words(quantiles: Sequence[float], form: str) -> str:
    middle, low, high = (form.format(value) for value in quantiles)
    return f"median {middle}, 90% between {low} and {high}"
