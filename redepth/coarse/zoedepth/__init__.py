"""ZoeDepth: metres, indoors and outdoors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel
from redepth.settings import UNVERIFIED, HubWeights, Licence
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.zoedepth.network import ZoeDepth


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> ZoeDepth:
    from redepth.coarse.zoedepth.network import load_zoedepth

    return load_zoedepth(settings, model, device)


MODELS = (
    CoarseModel(
        "zoedepth",
        DepthKind.METRIC_DEPTH,
        _load,
        HubWeights("Intel/zoedepth-nyu-kitti", UNVERIFIED, Licence("MIT")),
    ),
)
