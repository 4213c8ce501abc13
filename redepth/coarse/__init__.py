"""Monocular depth networks, a folder each, and the list of them."""

from __future__ import annotations

from redepth.coarse import (
    depth_anything,
    depth_pro,
    dpt,
    marigold,
    metric_depth_anything,
    pyramid,
    tips,
    unidepth,
    zoedepth,
)
from redepth.coarse.part import CoarseModel
from redepth.registry import COARSE_MODELS, Registry

coarse_models: Registry[CoarseModel] = Registry(
    "coarse model",
    COARSE_MODELS,
    CoarseModel,
    (
        *depth_anything.MODELS,
        *dpt.MODELS,
        *marigold.MODELS,
        *metric_depth_anything.MODELS,
        *depth_pro.MODELS,
        *zoedepth.MODELS,
        *unidepth.MODELS,
        *tips.MODELS,
        *pyramid.MODELS,
    ),
)
