"""UniDepth V2, whose package is for non-commercial use and imported only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import OPEN_END_M, Coarse, CoarseModel
from redepth.settings import UNVERIFIED, HubWeights, Licence
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.unidepth.network import UniDepth


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> UniDepth:
    from redepth.coarse.unidepth.network import load_unidepth

    return load_unidepth(settings, model, device)


MODELS = (
    CoarseModel(
        "unidepth-v2-large",
        DepthKind.METRIC_DEPTH,
        _load,
        HubWeights(
            "lpiccinelli/unidepth-v2-vitl14",
            UNVERIFIED,
            Licence("CC-BY-NC-4.0", non_commercial=True),
        ),
        far_limit_m=OPEN_END_M,
    ),
)
