"""Read a depth network of transformers: its files, whole, and its model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from redepth.coarse.part import Coarse, CoarseModel
from redepth.types import ModelCard
from redepth.weights import (
    read_network,
    resolve_weights,
    seeds_are_for_mini,
    variant_of,
    weight_files,
    weight_patterns,
)

PROCESSOR_FILE = "preprocessor_config.json"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network, float32 on the CPU, and where it came from.

    Attributes:
        path: its folder on this machine, with its other files.
        source: that folder or its repository, for messages.
    """

    model: Any
    card: ModelCard
    path: Path
    source: str


def read_checkpoint(
    network_class: Any,
    settings: Coarse,
    preset: CoarseModel,
    also: Sequence[str] = (PROCESSOR_FILE,),
) -> Checkpoint:
    """Read a checkpoint from the hub, a folder, or the package.

    Args:
        network_class: of transformers, with `from_pretrained`.
        also: other files of the repository that the model needs.

    Raises:
        ConfigError: the weights cannot be had, are not whole, are no such network's, or a seed is
            asked for.
    """
    if settings.weights.seed is not None:
        raise seeds_are_for_mini(settings.preset)
    variant = variant_of(settings.weights, preset.weights)
    patterns = ("config.json", *also, *weight_patterns("model", variant))
    folder = resolve_weights(settings.weights, preset.weights, patterns)
    files = weight_files(folder, "model", variant)
    model = read_network(network_class, folder, "", variant, torch.float32)
    return Checkpoint(model, folder.card("coarse", files), folder.path, folder.source)
