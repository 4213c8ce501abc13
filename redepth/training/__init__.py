"""Train models: a folder a method, all on one engine.

settings.py method.py   what a method is; its settings are read without torch
engine/                 loop, checkpoints, resume, running mean of the weights, workers, cards
examples/               what is trained on: rendered scenes, data sets with coarse maps
betterdepth/  sharpdepth/  distilled/  mini_models/
"""

from __future__ import annotations

from redepth.config import ConfigKind
from redepth.training import betterdepth, distilled, mini_models, sharpdepth
from redepth.training.method import TrainingMethod

METHODS: dict[str, TrainingMethod] = {
    method.name: method
    for method in (mini_models.METHOD, betterdepth.METHOD, sharpdepth.METHOD, distilled.METHOD)
}

CONFIGS = ConfigKind(
    "training config",
    "training",
    "docs/training.md",
    frozenset({"scenes", "dataset", "photographs", "labels"}),
)
