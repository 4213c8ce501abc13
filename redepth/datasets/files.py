"""Finding a data set's files and reading pictures and 16-bit PNGs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.types import ByteImage

Doubles = npt.NDArray[np.float64]

# What names say of a file's role: rgb_00012 and sync_depth_00012 are one image.
ROLE_WORDS = frozenset(
    (
        "rgb", "color", "colour", "image", "img", "photo", "left",
        "depth", "gt", "groundtruth", "sync", "disp", "disparity",
    )
)  # fmt: skip


def first_matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files that the first pattern finds which finds any, sorted; else none."""
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if found:
            return found
    return []


def name_below(root: Path, path: Path) -> str:
    """Return the path below the root, without suffix."""
    return path.relative_to(root).with_suffix("").as_posix()


def stem_key(stem: str) -> str:
    """Return a file's stem without the words that say which kind of map it is, lower case.

    A stem that consists of such words alone is empty: its folder names the image.
    """
    words = re.split(r"[_\-\s]+", stem.lower())
    return "_".join(word for word in words if word not in ROLE_WORDS)


def read_picture(path: Path) -> ByteImage:
    """Read a picture, uint8 [H, W, 3].

    Raises:
        ConfigError: it is none.
    """
    return np.asarray(read_pixels(path).convert("RGB"))


def read_png16(path: Path) -> Doubles:
    """Return the values of a 16-bit grey PNG, float64 [H, W].

    Raises:
        ConfigError: not one.
    """
    image = read_pixels(path)
    if image.mode not in ("I;16", "I;16B", "I"):
        raise ConfigError(f"{path}: expected a 16-bit grey PNG, got {image.format} {image.mode}")
    return np.asarray(image, dtype=np.float64)


def require_same_size(path: Path, found_hw: tuple[int, ...], image_hw: tuple[int, int]) -> None:
    """Refuse a rendered depth map that is not as large as its picture."""
    if found_hw != image_hw:
        raise ConfigError(f"{path} is {found_hw}, expected {image_hw} as its picture is")
