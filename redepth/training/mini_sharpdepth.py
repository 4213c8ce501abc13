"""What `sharpdepth-mini` is trained on and how."""

from __future__ import annotations

from redepth.refiners.sharpdepth.gating import Gating
from redepth.training.sharpdepth import SharpDepthTraining, TeacherTraining

# Wires are never shown to any of the models.
_FAMILIES = ("solids", "fences", "plants")
SHARES = dict.fromkeys(_FAMILIES, 1.0 / len(_FAMILIES))
NUM_SCENES = dict.fromkeys(_FAMILIES, 3000)
SHOWN = {"fences": 2, "plants": 2, "wires": 2, "solids": 2}
TEACHER = TeacherTraining()
# With the paper's lambda of 0.3 the student learns the metric net's blur, and most of what the
# teacher gains in edges is lost on tuning scenes (docs/sharpdepth.md).
MINI = SharpDepthTraining(
    num_steps=300,
    batch_size=16,
    learning_rate=5e-5,
    ema_decay=0.99,
    reconstruction_weight=0.05,
    gating=Gating(quantile=0.95),
)
