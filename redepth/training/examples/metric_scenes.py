"""Scenes of things before a wall with exact z-depth in metres, held in memory and drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from redepth.scenes.scene import Scene, Split
from redepth.training.draws import Draws
from redepth.training.examples.scene_examples import render_families, vary_picture
from redepth.types import FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class MetricScenes:
    """Scenes of some families, those of one family beside each other.

    Attributes:
        rgb_n3hw: uint8 [N, 3, H, W].
        depth_nhw: float32 [N, H, W] > 0, z in metres.
        metric_nhw: float32 [N, H, W], what a metric network says; None before it was asked.
        families: family -> (first, stop).
    """

    rgb_n3hw: Tensor
    depth_nhw: Tensor
    metric_nhw: Tensor | None
    families: Mapping[str, tuple[int, int]]

    def to(self, device: torch.device) -> MetricScenes:
        """Return the same scenes on a device."""
        metric = None if self.metric_nhw is None else self.metric_nhw.to(device)
        return replace(
            self,
            rgb_n3hw=self.rgb_n3hw.to(device),
            depth_nhw=self.depth_nhw.to(device),
            metric_nhw=metric,
        )

    def estimated(self, metric_nhw: Tensor) -> MetricScenes:
        """Return the scenes with what a metric network says of them."""
        return replace(self, metric_nhw=metric_nhw)


@dataclass(frozen=True, slots=True, eq=False)
class MetricBatch:
    """Pictures with depth in metres.

    Attributes:
        image_b3hw: float32 [B, 3, H, W] in [0, 1].
        depth_bhw: float32 [B, H, W] > 0, the truth; where there is none, the metric map again.
        metric_bhw: float32 [B, H, W], of a metric network; the truth where none was asked.
    """

    image_b3hw: Tensor
    depth_bhw: Tensor
    metric_bhw: Tensor


MetricSource = Callable[[int, Draws], MetricBatch]


def render_metric_scenes(
    counts: Mapping[str, int],
    num_processes: int = 1,
    on_scenes: Callable[[int], None] = lambda count: None,
    split: Split = Split.TRAIN,
) -> MetricScenes:
    """Render the first `counts[family]` scenes of each family, 64 px.

    Args:
        num_processes: that render; the outcome does not depend on it.
        on_scenes: called with how many scenes were rendered since.
    """
    rendered = render_families(counts, _depth, num_processes, on_scenes, split)
    return MetricScenes(rendered.rgb_n3hw, rendered.maps_nhw, None, rendered.families)


def metric_source(scenes: MetricScenes, shares: Mapping[str, float]) -> MetricSource:
    """Return what draws scenes: the family by its share, then any of its scenes.

    Every other one is mirrored; tint, exposure and grain of the picture vary.
    """
    names = list(shares)
    weights = torch.tensor([shares[name] for name in names])
    places = torch.tensor([scenes.families[name] for name in names])
    metric = scenes.depth_nhw if scenes.metric_nhw is None else scenes.metric_nhw

    def draw(count: int, draws: Draws) -> MetricBatch:
        drawn = torch.multinomial(weights, count, replacement=True, generator=draws.host)
        first, stop = places[drawn].unbind(dim=1)
        place = torch.rand(count, generator=draws.host)
        chosen = (first + (place * (stop - first)).long()).to(scenes.rgb_n3hw.device)
        image = vary_picture(scenes.rgb_n3hw[chosen].float() / 255.0, draws)
        mirrored = draws.uniform(count) < 0.5

        def seen(maps: Tensor) -> Tensor:
            shape = (count, *(1,) * (maps.ndim - 1))
            return torch.where(mirrored.view(shape), maps.flip(-1), maps)

        return MetricBatch(seen(image), seen(scenes.depth_nhw[chosen]), seen(metric[chosen]))

    return draw


def _depth(scene: Scene) -> FloatMap:
    return scene.depth_hw
