"""Depth Anything V2: relative depth, and the tokens that Re-Depth Anything moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel, Rendering, flops_of_picture
from redepth.flops import counted
from redepth.settings import HubWeights, Licence, PackagedWeights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.depth_anything.network import DepthAnything


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> DepthAnything:
    from redepth.coarse.depth_anything.network import load_depth_anything

    return load_depth_anything(settings, model, device)


_RENDERING = Rendering(scale=7.0, margin=0.1)


# Of the whole network, and of its decoder.
_FLOPS = {
    "Small": (counted.DEPTH_ANYTHING_SMALL, counted.DEPTH_ANYTHING_SMALL_DECODER),
    "Base": (counted.DEPTH_ANYTHING_BASE, counted.DEPTH_ANYTHING_BASE_DECODER),
    "Large": (counted.DEPTH_ANYTHING_LARGE, counted.DEPTH_ANYTHING_LARGE_DECODER),
}
_PARAMETERS = {
    "Small": counted.DEPTH_ANYTHING_SMALL_PARAMETERS,
    "Base": counted.DEPTH_ANYTHING_BASE_PARAMETERS,
    "Large": counted.DEPTH_ANYTHING_LARGE_PARAMETERS,
}


def _published(size: str, revision: str, licence: Licence) -> CoarseModel:
    whole, decoder = _FLOPS[size]
    repo = f"depth-anything/Depth-Anything-V2-{size}-hf"
    return CoarseModel(
        f"depth-anything-v2-{size.lower()}",
        DepthKind.AFFINE_DISPARITY,
        _load,
        HubWeights(repo, revision, licence, _PARAMETERS[size]),
        rendering=_RENDERING,
        flops=flops_of_picture(whole),
        decoder_flops=decoder,
    )


_NON_COMMERCIAL = Licence("CC-BY-NC-4.0", non_commercial=True)

MODELS = (
    _published("Small", "5426e4f0f36572d16453bbda7a8389317b1bef99", Licence("Apache-2.0")),
    _published("Base", "b1958afc87fb45a9e3746cb387596094de553ed8", _NON_COMMERCIAL),
    _published("Large", "7581137eff8d4e94f6e796d3baea0e9fa79b22d2", _NON_COMMERCIAL),
    CoarseModel(
        "mini",
        DepthKind.AFFINE_DISPARITY,
        _load,
        PackagedWeights("models/mini/depth"),
        # The target it was trained on is 4 (1 / z - 1 / 2) + 0.6, so 4 / (raw + 1.4) is z.
        rendering=Rendering(scale=4.0, margin=1.4),
        flops=flops_of_picture(counted.MINI),
        decoder_flops=counted.MINI_DECODER,
    ),
)
