"""Finding a layout's files and reading those that are 16-bit PNGs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels

Doubles = npt.NDArray[np.float64]

# What names say of a file's role: rgb_00012 and sync_depth_00012 are one image.
ROLE_WORDS = frozenset(
    (
        "rgb", "color", "colour", "image", "img", "photo", "left",
        "depth", "gt", "groundtruth", "sync", "disp", "disparity",
    )
)  # fmt: skip


def find_files(root: Path, patterns: Sequence[str], expected: str) -> list[Path]:
    """Return what the first pattern that matches anything finds below `root`, sorted.

    Raises:
        ConfigError: no such folder, or nothing in it looks like the layout.
    """
    if not root.is_dir():
        raise ConfigError(f"no folder {root}: --truth takes a folder with {expected}")
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if found:
            return found
    raise ConfigError(f"{root} holds no truth of this layout; expected {expected}")


def name_below(root: Path, path: Path) -> str:
    """Return the path below the root, without suffix."""
    return path.relative_to(root).with_suffix("").as_posix()


def stem_key(stem: str) -> str:
    """Return a file's stem without the words that say which kind of map it is, lower case.

    A stem that consists of such words alone is empty: its folder names the image.
    """
    words = re.split(r"[_\-\s]+", stem.lower())
    return "_".join(word for word in words if word not in ROLE_WORDS)


def read_png16(path: Path) -> Doubles:
    """Return the values of a 16-bit grey PNG, float64 [H, W].

    Raises:
        ConfigError: not one.
    """
    image = read_pixels(path)
    if image.mode not in ("I;16", "I;16B", "I"):
        raise ConfigError(f"{path}: expected a 16-bit grey PNG, got {image.format} {image.mode}")
    return np.asarray(image, dtype=np.float64)
