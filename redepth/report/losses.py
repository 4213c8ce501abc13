"""Draw how training went: the loss of every stage, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np

WINDOW_STEPS = 25


def draw_losses(losses: Mapping[str, Sequence[float]]) -> bytes:
    """Return a PNG with one panel a stage: each step's loss, and its running mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(losses), 3.0), dpi=90, layout="constrained")
    panels = figure.subplots(1, len(losses), squeeze=False)[0]
    for panel, (name, values) in zip(panels, losses.items(), strict=True):
        window = min(WINDOW_STEPS, len(values))
        smooth = np.convolve(values, np.full(window, 1.0 / window), mode="valid")
        panel.plot(values, color="0.8", linewidth=0.6)
        panel.plot(np.arange(len(smooth)) + window // 2, smooth, color="C0")
        panel.set(title=name, xlabel="step", ylabel="loss", ylim=(0, float(np.max(smooth)) * 1.1))
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
