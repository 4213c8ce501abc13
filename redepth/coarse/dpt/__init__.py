"""DPT, and with it MiDaS 3: models that no refiner here was trained with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel
from redepth.flops import FlopCount, Flops, ImageWork, counted
from redepth.settings import UNVERIFIED, HubWeights, Licence, PackagedWeights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.dpt.network import Dpt


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> Dpt:
    from redepth.coarse.dpt.network import load_dpt

    return load_dpt(settings, model, device)


def _flops_of_square(count: FlopCount) -> Callable[[Coarse, ImageWork], Flops]:
    """Return what counts a network that is shown a square of the recipe's size."""
    return lambda settings, _: {"float32": count.at(settings.size_px**2)}


# Of dpt-hybrid-midas nobody has counted: its convolutional trunk is not among the architectures.
_FLOPS = {"dpt-large": _flops_of_square(counted.DPT_LARGE), "dpt-hybrid-midas": None}
_PARAMETERS = {"dpt-large": counted.DPT_LARGE_PARAMETERS, "dpt-hybrid-midas": None}

MODELS = (
    *(
        CoarseModel(
            name,
            DepthKind.AFFINE_DISPARITY,
            _load,
            HubWeights(f"Intel/{name}", UNVERIFIED, Licence("Apache-2.0"), _PARAMETERS[name]),
            flops=flops,
        )
        for name, flops in _FLOPS.items()
    ),
    CoarseModel(
        "mini-dpt",
        DepthKind.AFFINE_DISPARITY,
        _load,
        PackagedWeights("models/mini/dpt"),
        flops=_flops_of_square(counted.MINI_DPT),
    ),
)
