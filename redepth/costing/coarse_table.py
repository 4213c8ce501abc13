"""What the coarse models give, weigh and cost, a line each: what one chooses among them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from redepth.coarse import coarse_models
from redepth.coarse.part import CoarseModel
from redepth.config import LabelSettings
from redepth.costing.estimate import known_speed, measured_speed
from redepth.costing.work import recipe_flops, usual_image
from redepth.settings import PackagedWeights
from redepth.types import DepthKind

_GIVES = {
    DepthKind.AFFINE_DISPARITY: "disparity up to scale and shift",
    DepthKind.AFFINE_DEPTH: "depth up to scale and shift",
    DepthKind.METRIC_DEPTH: "depth in metres",
}


@dataclass(frozen=True, slots=True)
class CoarseLine:
    """One coarse model.

    Attributes:
        name: as `labels.coarse.preset` takes it.
        gives: what its map is.
        parameters: as text, or where the weights come from.
        tera_flops: of one image at its usual size; None where nobody has counted.
        seconds: an image on the device that was asked for; None where nothing is known to go by.
        is_measured: whether they were measured, in the last run of such a recipe; else they are
            what the operations take at the usual share of the device's limits.
        licence: of its weights.
        refined_by_tokens: whether Re-Depth Anything can optimise it.
    """

    name: str
    gives: str
    parameters: str
    tera_flops: float | None
    seconds: float | None
    is_measured: bool
    licence: str
    refined_by_tokens: bool


def coarse_lines(device: str | None = None) -> Iterator[CoarseLine]:
    """Yield every coarse model that is installed, plug-ins included.

    Args:
        device: a card as CUDA names it, e.g. "NVIDIA L4"; None takes this machine's.
    """
    for name in coarse_models.names():
        model = coarse_models[name]
        labels = LabelSettings.model_validate(
            {"coarse": {"preset": name}, "compute": {"device": "auto"}}
        )
        flops = recipe_flops(labels, usual_image(labels))
        speed = known_speed(labels, device)
        licence = model.licence or (None if model.weights is None else model.weights.licence)
        yield CoarseLine(
            name=name,
            gives=_GIVES[model.kind],
            parameters=_parameters(model),
            tera_flops=None if flops is None else sum(flops.values()) / 1e12,
            seconds=None if speed is None else speed.seconds,
            is_measured=measured_speed(labels.digest(), device) is not None,
            licence="not stated" if licence is None else licence.words,
            refined_by_tokens=model.rendering is not None,
        )


def _parameters(model: CoarseModel) -> str:
    if model.weights is None:
        return "its package's"
    if isinstance(model.weights, PackagedWeights):
        return "comes with redepth"
    count = model.weights.num_parameters
    return "not counted" if count is None else f"{count / 1e6:.0f} M"
