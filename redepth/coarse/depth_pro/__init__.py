"""Depth Pro: metres, and the focal length where nobody knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import OPEN_END_M, Coarse, CoarseModel, flops_of_picture
from redepth.flops import counted
from redepth.settings import UNVERIFIED, HubWeights, Licence
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.depth_pro.network import DepthPro


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> DepthPro:
    from redepth.coarse.depth_pro.network import load_depth_pro

    return load_depth_pro(settings, model, device)


MODELS = (
    CoarseModel(
        "depth-pro",
        DepthKind.METRIC_DEPTH,
        _load,
        HubWeights(
            "apple/DepthPro-hf",
            UNVERIFIED,
            Licence("Apple-AMLR", non_commercial=True),
            counted.DEPTH_PRO_PARAMETERS,
            parameter_bytes=2,
        ),
        far_limit_m=OPEN_END_M,
        flops=flops_of_picture(counted.DEPTH_PRO),
    ),
)
