"""DPT, and with it MiDaS 3: models that no refiner here was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel
from redepth.settings import UNVERIFIED, HubWeights, Licence, PackagedWeights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.dpt.network import Dpt


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> Dpt:
    from redepth.coarse.dpt.network import load_dpt

    return load_dpt(settings, model, device)


MODELS = (
    *(
        CoarseModel(
            name,
            DepthKind.AFFINE_DISPARITY,
            _load,
            HubWeights(f"Intel/{name}", UNVERIFIED, Licence("Apache-2.0")),
        )
        for name in ("dpt-large", "dpt-hybrid-midas")
    ),
    CoarseModel("mini-dpt", DepthKind.AFFINE_DISPARITY, _load, PackagedWeights("models/mini/dpt")),
)
