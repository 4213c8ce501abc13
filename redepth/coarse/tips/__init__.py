"""TIPSv2 with its DPT head for depth: metres, of rooms, from a vision-language backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel
from redepth.settings import UNVERIFIED, HubWeights, Licence
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.tips.network import Tips


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> Tips:
    from redepth.coarse.tips.network import load_tips

    return load_tips(settings, model, device)


_SIZES = {"base": "b14", "large": "l14"}

MODELS = tuple(
    CoarseModel(
        f"tipsv2-dpt-{size}",
        DepthKind.METRIC_DEPTH,
        _load,
        HubWeights(f"google/tipsv2-{name}-dpt", UNVERIFIED, Licence("Apache-2.0")),
    )
    for size, name in _SIZES.items()
)
