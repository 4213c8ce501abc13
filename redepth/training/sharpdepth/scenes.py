"""The rendered scenes that `sharpdepth-mini` is trained on."""

from __future__ import annotations

# Wires are never shown to any of the models.
_FAMILIES = ("solids", "fences", "plants")
SHARES = dict.fromkeys(_FAMILIES, 1.0 / len(_FAMILIES))
NUM_SCENES = dict.fromkeys(_FAMILIES, 3000)
SHOWN = {"fences": 2, "plants": 2, "wires": 2, "solids": 2}
