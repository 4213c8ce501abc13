"""Read a student from its folder: network, familiar images, expected gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from diffusers import UNet2DModel

from redepth.errors import ConfigError
from redepth.refiners.distilled import familiar, gain
from redepth.refiners.distilled.familiar import FamiliarImages, read_familiar
from redepth.refiners.distilled.gain import Gain, read_gain
from redepth.refiners.distilled.pipeline import NUM_CHANNELS, DistilledPipeline
from redepth.settings import Compute, PublishedWeights, Weights
from redepth.types import ModelCard
from redepth.weights import (
    DIFFUSERS_STEM,
    quieten_libraries,
    read_network,
    resolve_weights,
    variant_of,
    weight_files,
    weight_patterns,
)

UNET = "unet"


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A student, loaded.

    Attributes:
        pipeline: its network, frozen, on its device.
        card: of all files that were read: each of them shows in labels.
    """

    pipeline: DistilledPipeline
    familiar: FamiliarImages
    gain: Gain
    card: ModelCard


def load_student(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> Student:
    """Load a student, its network in the recipe's dtype.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no student's.
    """
    quieten_libraries()
    variant = variant_of(own, published)
    folder = resolve_weights(own, published, _patterns(variant))
    own_gain, images = read_gain(folder.path), read_familiar(folder.path)
    dtype: torch.dtype = getattr(torch, compute.dtype)
    unet = read_network(UNet2DModel, folder, UNET, variant, dtype)
    taken, given = int(unet.config.in_channels), int(unet.config.out_channels)
    if taken != NUM_CHANNELS * given or math.isqrt(given) ** 2 != given:
        raise ConfigError(
            f"{folder.source} is no student: its network takes {taken} channels and gives {given}, "
            f"expected {NUM_CHANNELS} (picture and coarse map) and 1 of each pixel of a square. "
            "redepth distill makes one"
        )
    files = [
        *weight_files(folder, DIFFUSERS_STEM, variant, UNET),
        folder.path / familiar.FILE_NAME,
        folder.path / gain.FILE_NAME,
    ]
    pipeline = DistilledPipeline(unet.to(device).eval().requires_grad_(False))
    return Student(pipeline, images, own_gain, folder.card("refiner", files))


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "model_index.json",
        f"{UNET}/config.json",
        *weight_patterns(DIFFUSERS_STEM, variant, UNET),
        familiar.FILE_NAME,
        gain.FILE_NAME,
        "triage.json",
    )
