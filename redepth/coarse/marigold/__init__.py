"""Marigold: a diffusion model as coarse model, or as a baseline of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel
from redepth.settings import UNVERIFIED, HubWeights, Licence
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.marigold.network import Marigold


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> Marigold:
    from redepth.coarse.marigold.network import load_marigold

    return load_marigold(settings, model, device)


MODELS = (
    CoarseModel(
        "marigold",
        DepthKind.AFFINE_DEPTH,
        _load,
        HubWeights("prs-eth/marigold-depth-v1-1", UNVERIFIED, Licence("OpenRAIL++-M")),
    ),
)
