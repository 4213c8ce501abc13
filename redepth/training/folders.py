"""The names of what a training writes into its folder."""

from __future__ import annotations

MODEL = "model"
VARIANT = "fp16"
CHECKPOINTS = "checkpoints"
VALIDATION = "validation"
