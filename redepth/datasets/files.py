"""Finding a data set's files and reading pictures and 16-bit PNGs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.images.hidden import hidden_kind
from redepth.printable import printable
from redepth.types import ByteImage

logger = logging.getLogger(__name__)

Doubles = npt.NDArray[np.float64]


def first_matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files that the first glob finds which finds any, sorted; else none.

    As in a folder of photographs: hidden names are passed over, linked files are taken, and a
    linked folder is not entered. That, and a folder that cannot be listed, is said in the log. A
    link to nothing is a file that cannot be read.
    """
    names = _files_below(root)
    found = (_fitting(root, names, pattern) for pattern in patterns)
    return next(filter(None, found), [])


def all_matching(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files that any of the globs finds, sorted; see `first_matching`."""
    names = _files_below(root)
    return sorted({path for pattern in patterns for path in _fitting(root, names, pattern)})


def linked_folders(root: Path) -> list[Path]:
    """Return the linked folders below a folder, which are not entered, sorted."""
    below = (Path(folder, name) for folder, names, _ in _walk(root) for name in names)
    return sorted(path for path in below if path.is_symlink())


def _files_below(root: Path) -> list[str]:
    """Return the paths of all files below a folder that are not hidden, relative to it."""
    found = []
    for folder, folders, names in _walk(root):
        for link in filter(Path.is_symlink, (Path(folder, name) for name in folders)):
            logger.warning(
                "not entering the linked folder %s: give the folder itself as ground truth, or "
                "copy it there",
                printable(str(link)),
            )
        here = Path(folder).relative_to(root)
        found += [(here / name).as_posix() for name in names if _is_file(Path(folder, name))]
    return found


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder with the names in it, without hidden ones; links are not followed."""
    for folder, folders, names in os.walk(root, onerror=_warn_of):
        folders[:] = [name for name in folders if hidden_kind(name) is None]
        yield folder, folders, [name for name in names if hidden_kind(name) is None]


def _warn_of(error: OSError) -> None:
    logger.warning("a folder of ground truth cannot be listed: %s", printable(str(error)))


def _fitting(root: Path, names: Sequence[str], pattern: str) -> list[Path]:
    parts = pattern.split("/")
    return sorted(root / name for name in names if _matches(name.split("/"), parts))


def _is_file(path: Path) -> bool:
    """Return whether it can be opened without waiting for ever, or is a link to nothing."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a path fits a glob in which ** stands for any number of folders."""
    if not pattern or not names:
        return not pattern and not names
    if pattern[0] == "**":
        return any(_matches(names[start:], pattern[1:]) for start in range(len(names)))
    return fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def name_below(root: Path, path: Path) -> str:
    """Return the path below the root, without suffix."""
    return path.relative_to(root).with_suffix("").as_posix()


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
