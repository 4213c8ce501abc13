"""Pictures with true depth, to train a refiner on: one file a layout, all behind one Protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.types import ByteImage, CoarseDepth, FloatMap

BoolMap = npt.NDArray[np.bool_]
CoarseMaps = Callable[[str], CoarseDepth]
_NAMED = 3


class Layout(StrEnum):
    """How a data set lies in its folder: as published, or as `redepth scenes` writes."""

    HYPERSIM = "hypersim"
    VIRTUAL_KITTI_2 = "virtual-kitti-2"
    SCENES = "scenes"


@dataclass(frozen=True, slots=True, eq=False)
class DepthExample:
    """A picture with its true depth.

    Attributes:
        rgb_hw3: uint8 [H, W, 3].
        depth_hw: float32 [H, W], z along the optical axis; metres where the data are metric.
        valid_hw: bool [H, W]; elsewhere the depth means nothing.
    """

    rgb_hw3: ByteImage
    depth_hw: FloatMap
    valid_hw: BoolMap


class DepthData(Protocol):
    """Pictures with true depth in a folder."""

    @property
    def images(self) -> Sequence[str]:
        """Paths of the pictures relative to the folder, sorted: how coarse maps know them."""
        ...

    def read(self, number: int) -> DepthExample:
        """Read the picture `images[number]` and its depth.

        Raises:
            ConfigError: a file is not what the layout says.
        """
        ...


def open_depth_data(folder: Path, layout: Layout) -> DepthData:
    """Open a data set; every file that training will ask for is looked for here.

    Raises:
        ConfigError: there is no such folder, its layout is another one, or files are missing.
    """
    from redepth.training.data.hypersim import Hypersim
    from redepth.training.data.scene_folder import SceneFolder
    from redepth.training.data.virtual_kitti import VirtualKitti2

    if not folder.is_dir():
        raise ConfigError(f"no folder {folder} on this machine (--data)")
    if layout is Layout.HYPERSIM:
        return Hypersim(folder)
    return VirtualKitti2(folder) if layout is Layout.VIRTUAL_KITTI_2 else SceneFolder(folder)


def find_pairs(folder: Path, pattern: str, depth_of: Callable[[str], str]) -> list[str]:
    """Return the pictures of a layout, relative to the folder and sorted, each with its depth file.

    Args:
        pattern: glob of the pictures.
        depth_of: picture -> depth, both relative to the folder.

    Raises:
        ConfigError: no picture, with what the folder holds instead; or pictures without depth.
    """
    images = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))
    if not images:
        holds = ", ".join(sorted(path.name for path in folder.iterdir())[:_NAMED]) or "nothing"
        raise ConfigError(
            f"{folder} has no {pattern}; it holds {holds}. Give the folder above it, unpacked as "
            "published, or another --layout"
        )
    missing = [depth for depth in map(depth_of, images) if not (folder / depth).is_file()]
    if missing:
        raise ConfigError(
            f"{folder} lacks the depth of {len(missing)} of {len(images)} pictures: "
            f"{', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}"
        )
    return images


def read_picture(path: Path) -> ByteImage:
    """Read a picture, uint8 [H, W, 3].

    Raises:
        ConfigError: it is none.
    """
    return np.asarray(read_pixels(path).convert("RGB"))


def require_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuse a depth map that is not as large as its picture."""
    if found != expected:
        raise ConfigError(f"{path} is {found}, expected {expected} as its picture is")
