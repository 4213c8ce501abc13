"""Batches from a data set with its coarse maps: read, brought to one size, cropped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from redepth.datasets.ground_truth import GroundTruth
from redepth.datasets.sample import Samples
from redepth.training.draws import Draws
from redepth.training.examples.scene_examples import ExampleBatch
from redepth.training.examples.window import Window
from redepth.types import CoarseDepth

CoarseMaps = Callable[[str], CoarseDepth]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One example at the training's size: image [3, H, W] in [0, 1], maps [H, W]."""

    image_3hw: Tensor
    truth_hw: Tensor
    coarse_hw: Tensor
    valid_hw: Tensor


class DataSource:
    """What draws batches for a step; a function of the draws alone, whatever threads read."""

    def __init__(
        self,
        data: Samples,
        coarse_maps: CoarseMaps,
        size_hw: tuple[int, int],
        device: torch.device,
        num_threads: int = 4,
        held_out: int = 0,
    ) -> None:
        """Take a data set.

        Args:
            coarse_maps: picture, as `data.images` names it -> its coarse map.
            held_out: pictures from the list's end that are never drawn: those of the validation.
        """
        self._data = data
        self._coarse_maps = coarse_maps
        self._size_hw = size_hw
        self._device = device
        self._count = len(data.images) - held_out
        self._pool = ThreadPoolExecutor(num_threads, "read examples")

    def __call__(self, count: int, draws: Draws) -> ExampleBatch:
        """Draw pictures with replacement, a crop of each, and mirror every other one."""
        numbers = torch.randint(self._count, (count,), generator=draws.host).tolist()
        places = torch.rand(count, 3, generator=draws.host).tolist()
        return self._batch(list(self._pool.map(self._example, numbers, places)))

    def held_out(self) -> ExampleBatch:
        """Return the pictures that are never drawn, cropped in the middle."""
        numbers = range(self._count, len(self._data.images))
        return self._batch([self._example(number, [0.5, 0.5, 1.0]) for number in numbers])

    def _batch(self, examples: list[Example]) -> ExampleBatch:
        def stacked(name: str) -> Tensor:
            return torch.stack([getattr(e, name) for e in examples]).to(self._device)

        names = ("image_3hw", "truth_hw", "coarse_hw", "valid_hw")
        return ExampleBatch(*(stacked(name) for name in names))

    def _example(self, number: int, place: list[float]) -> Example:
        """Return an example whose truth is of its coarse map's kind, larger where it is nearer."""
        found = self._data.read(number)
        coarse = self._coarse_maps(self._data.images[number])
        image = torch.tensor(found.rgb_hw3).permute(2, 0, 1).float() / 255.0
        towards = coarse.kind.grows_towards_camera
        coarse_hw = torch.from_numpy(coarse.map_hw) * (1.0 if towards else -1.0)
        valid = torch.from_numpy(found.truth.known_hw)
        truth_hw = _growing_towards_camera(found.truth, valid, as_disparity=towards)
        window = Window.of(found.truth.size_hw, self._size_hw, place)
        return Example(
            window.cut(image, "bilinear"),
            window.cut(truth_hw[None], "nearest-exact")[0],
            window.cut(coarse_hw[None], "bilinear")[0],
            window.cut(valid[None].float(), "nearest-exact")[0] > 0.5,
        )


def _growing_towards_camera(truth: GroundTruth, valid: Tensor, *, as_disparity: bool) -> Tensor:
    """Return disparity, or depth with its sign changed; finite where nothing is known too."""
    depth_hw = truth.disparity_hw() if as_disparity else truth.depth_hw()
    known = torch.where(valid, torch.from_numpy(depth_hw), 1.0)
    return known if as_disparity else -known
