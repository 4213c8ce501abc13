"""Warn where an output's photographs are unlike those that its intervals were calibrated on."""

from __future__ import annotations

import numpy as np

from redepth.confidence.cues import cues_of
from redepth.confidence.shift import mean_log_cues, shift_words, shifts_of
from redepth.store.reader import Labels
from redepth.types import Outcome

NUM_COMPARED = 40  # labels at even distances: their maps are read


def shift_warnings(labels: Labels) -> tuple[str, ...]:
    """Return the warning, or nothing where no cue tells some labels from the calibration's."""
    own = labels.dataset.recorded.ensemble.intervals
    if own is None or not len(labels):
        return ()
    cues = tuple(own.calibration_cues)
    positions = np.unique(np.linspace(0, len(labels) - 1, NUM_COMPARED).astype(int)).tolist()
    refined = [row for row in labels.rows(positions) if row.outcome is Outcome.REFINED]
    images = [mean_log_cues(cues_of(labels[row.id].maps_for(cues), cues)) for row in refined]
    words = shift_words(shifts_of(own, images), len(images))
    return () if words is None else (words[0].upper() + words[1:],)
