"""Depth Anything V2 for metres: one model for rooms, one for streets, and a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redepth.coarse.part import Coarse, CoarseModel, flops_of_picture
from redepth.flops import counted
from redepth.settings import UNVERIFIED, HubWeights, Licence, LicenceSource, PackagedWeights
from redepth.types import DepthKind

if TYPE_CHECKING:
    import torch

    from redepth.coarse.metric_depth_anything.network import MetricDepthAnything


def _load(settings: Coarse, model: CoarseModel, device: torch.device) -> MetricDepthAnything:
    from redepth.coarse.metric_depth_anything.network import load_metric_depth_anything

    return load_metric_depth_anything(settings, model, device)


# The Small models carry no licence on their cards; that of their relative sister is Apache-2.0.
_LICENCES = {
    "Small": Licence("Apache-2.0", LicenceSource.INFERRED),
    "Base": Licence("CC-BY-NC-4.0", non_commercial=True),
    "Large": Licence("CC-BY-NC-4.0", non_commercial=True),
}

_FLOPS = {
    "Small": counted.DEPTH_ANYTHING_SMALL,
    "Base": counted.DEPTH_ANYTHING_BASE,
    "Large": counted.DEPTH_ANYTHING_LARGE,
}
_PARAMETERS = {
    "Small": counted.DEPTH_ANYTHING_SMALL_PARAMETERS,
    "Base": counted.DEPTH_ANYTHING_BASE_PARAMETERS,
    "Large": counted.DEPTH_ANYTHING_LARGE_PARAMETERS,
}


def _published(place: str, size: str) -> CoarseModel:
    repo = f"depth-anything/Depth-Anything-V2-Metric-{place}-{size}-hf"
    return CoarseModel(
        f"depth-anything-v2-metric-{place.lower()}-{size.lower()}",
        DepthKind.METRIC_DEPTH,
        _load,
        HubWeights(repo, UNVERIFIED, _LICENCES[size], _PARAMETERS[size]),
        flops=flops_of_picture(_FLOPS[size]),
    )


MODELS = (
    *(_published(place, size) for place in ("Indoor", "Outdoor") for size in _LICENCES),
    CoarseModel(
        "mini-metric",
        DepthKind.METRIC_DEPTH,
        _load,
        PackagedWeights("models/mini/metric"),
        flops=flops_of_picture(counted.MINI),
    ),
)
