"""Batches from labels that an expensive refiner made: photograph, coarse map, the teacher's map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from redepth.training.draws import Draws
from redepth.training.examples.teacher_pictures import TeacherPicture, TeacherPictures
from redepth.training.examples.window import Window
from redepth.types import FloatMap

_GB = 10**9


@dataclass(frozen=True, slots=True, eq=False)
class TeacherBatch:
    """Examples of one step; near is large in every map.

    Attributes:
        image_b3hw: float32 [B, 3, H, W] in [0, 1].
        coarse_bhw, teacher_bhw: float32 [B, H, W], finite.
        weight_bhw: float32 [B, H, W] >= 0, how much a pixel counts; 0 where nothing is known.
        is_free: whether the maps' scale and shift mean nothing, which they do in metres.
    """

    image_b3hw: Tensor
    coarse_bhw: Tensor
    teacher_bhw: Tensor
    weight_bhw: Tensor
    is_free: bool = True


Source = Callable[[int, Draws], TeacherBatch]


class TeacherSource:
    """What draws batches for a step; a function of the draws alone, whatever threads read."""

    def __init__(
        self,
        pictures: TeacherPictures,
        numbers: Sequence[int],
        size_hw: tuple[int, int],
        device: torch.device,
        num_threads: int = 4,
        cache_gb: float = 4.0,
    ) -> None:
        """Take labels.

        Args:
            numbers: of the images that are drawn from.
            cache_gb: pictures are kept in memory until they take so much.
        """
        self._pictures = pictures
        self._numbers = numbers
        self._size_hw = size_hw
        self._device = device
        self._threads = ThreadPoolExecutor(num_threads, "read labels")
        self._kept: dict[int, TeacherPicture] = {}
        self._free_bytes = cache_gb * _GB
        self._lock = Lock()

    def __call__(self, count: int, draws: Draws) -> TeacherBatch:
        """Draw pictures with replacement, a crop of each, and mirror every other one."""
        drawn = torch.randint(len(self._numbers), (count,), generator=draws.host).tolist()
        places = torch.rand(count, 3, generator=draws.host).tolist()
        numbers = [self._numbers[at] for at in drawn]
        maps = list(self._threads.map(self._cut, numbers, places))
        image, coarse, teacher, weight = (
            torch.stack(parts).to(self._device) for parts in zip(*maps, strict=True)
        )
        is_free = not self._pictures.is_metric
        return TeacherBatch(image, coarse[:, 0], teacher[:, 0], weight[:, 0], is_free)

    def _cut(self, number: int, place: Sequence[float]) -> tuple[Tensor, ...]:
        """Return picture [3, h, w], and coarse map, teacher's map and weights [1, h, w]."""
        picture = self._read(number)
        window = Window.of(picture.coarse_hw.shape, self._size_hw, place)
        image = torch.tensor(picture.rgb_hw3).permute(2, 0, 1).float() / 255.0
        maps = (picture.coarse_hw, picture.refined_hw)
        return (
            window.cut(image, "bilinear"),
            *(window.cut(torch.tensor(map_hw)[None], "bilinear") for map_hw in maps),
            window.cut(torch.tensor(picture.weight_hw)[None], "nearest-exact"),
        )

    def _read(self, number: int) -> TeacherPicture:
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        picture = self._pictures.read(number)
        with self._lock:
            if number not in self._kept and picture.num_bytes <= self._free_bytes:
                self._kept[number] = picture
                self._free_bytes -= picture.num_bytes
        return picture


def as_batch(picture: TeacherPicture, device: torch.device, *, is_free: bool) -> TeacherBatch:
    """Return one picture as a batch, at its own size."""

    def shown(map_hw: FloatMap) -> Tensor:
        return torch.tensor(map_hw)[None].to(device)

    image = torch.tensor(picture.rgb_hw3).permute(2, 0, 1).float() / 255.0
    return TeacherBatch(
        image[None].to(device),
        shown(picture.coarse_hw),
        shown(picture.refined_hw),
        shown(picture.weight_hw),
        is_free,
    )
