"""What a depth data set is: how its files lie, how they are read, what of them is scored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redepth.datasets.depth_file import DepthFile, Read
from redepth.datasets.files import first_matching, linked_folders, read_picture
from redepth.datasets.pairing import Pairing, pair, reasons
from redepth.datasets.sample import Sample
from redepth.errors import ConfigError
from redepth.printable import printable

logger = logging.getLogger(__name__)

_NUM_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DepthDataset:
    """A data set with depth under the name that `--dataset-format` takes.

    Evaluation and training share it: `find` gives depth files, which are paired with labels;
    `samples` reads photographs and depth from one folder.

    Attributes:
        name: of the format, e.g. "kitti".
        files: what a folder of it holds, in words.
        list_files: the depth files below a folder, in the order of their names.
        read: reads one of them: [H, W], z-depth in metres unless `unit` says otherwise.
        photographs: globs below the folder; the first that matches anything counts.
        unit, scored: what the values are and which pixels are scored, in words.
        has_edges: whether edges and normals can be measured.
        is_complete: whether a photograph without depth is an error.
    """

    name: str
    files: str
    list_files: Callable[[Path], list[DepthFile]]
    read: Read
    photographs: tuple[str, ...]
    unit: str = "m"
    scored: str = "known"
    has_edges: bool = False
    is_complete: bool = False

    def find(self, root: Path) -> list[DepthFile]:
        """Return the depth files below a folder, or that of which the path is given.

        Raises:
            ConfigError: no such folder, or nothing in it looks like this data set.
        """
        folder = root.parent if root.is_file() else root
        if not folder.is_dir():
            raise ConfigError(f"no folder {root}: {self.name} takes a folder with {self.files}")
        found = self.list_files(folder)
        if folder is not root:
            found = [file for file in found if file.path == root]
        if not found:
            raise ConfigError(
                f"{root} holds no depth in the format {self.name}; expected {self.files}; "
                f"{_contents(root)}"
            )
        return found

    def open(self, root: Path) -> SampleFolder:
        """List the photographs of a folder that have ground truth; reads none of them.

        Raises:
            ConfigError: see `find`; no photograph has depth; or files of the samples are missing.
        """
        files = self.find(root)
        pairs = {file.photograph: file for file in files if file.photograph is not None}
        paths = {file.path for file in files}
        seen = [path for path in first_matching(root, self.photographs) if path not in paths]
        names = [path.relative_to(root).as_posix() for path in seen]
        unmatched = {name: name for name in names if name not in pairs}
        unpaired = [file for file in files if file.photograph is None]
        if unpaired:
            found = pair(unmatched, unpaired)
            pairs |= found.pairs
            self._require_fitting(root, unmatched, found)
        self._require_whole(root, names, pairs)
        return SampleFolder(root, pairs)

    def samples(self, root: Path) -> Iterator[Sample]:
        """Read the photographs of a folder one after the other; raises as `open` and `read` do."""
        folder = self.open(root)
        return map(folder.read, range(len(folder.images)))

    def _require_fitting(self, root: Path, names: dict[str, str], found: Pairing) -> None:
        """Say what is left out because it could be meant: an error where nothing else is there."""
        doubtful = len(found.ambiguous) + len(found.contradicting)
        words = (
            f"{root}: {doubtful} photographs have depth of their name that may not be theirs:\n"
            f"{reasons(found, names, _NUM_SHOWN)}\nthe folders on both paths have to agree"
        )
        if doubtful and not found.pairs:
            raise ConfigError(words)
        if doubtful:
            logger.warning("%s; they are left out", printable(words))

    def _require_whole(self, root: Path, names: list[str], pairs: dict[str, DepthFile]) -> None:
        if not pairs:
            raise ConfigError(
                f"{root} holds depth in the format {self.name}, but no photograph of it: expected "
                f"{', '.join(self.photographs)}"
            )
        missing = [name for name in names if name not in pairs]
        if missing and self.is_complete:
            raise ConfigError(
                f"{root} lacks the depth of {len(missing)} of {len(names)} pictures: "
                f"{_shown(missing)}"
            )
        needed = [*(root / name for name in pairs), *(file.path for file in pairs.values())]
        gone = sorted(str(path) for path in needed if not path.is_file())
        if gone:
            raise ConfigError(f"{root} lacks {len(gone)} files of its samples: {_shown(gone)}")


class SampleFolder:
    """The photographs of a folder that have ground truth: `Samples`."""

    def __init__(self, root: Path, pairs: dict[str, DepthFile]) -> None:
        self._root, self._pairs = root, pairs
        self.images = sorted(pairs)

    def read(self, number: int) -> Sample:
        """Read one; see `Samples`."""
        name = self.images[number]
        rgb_hw3 = read_picture(self._root / name)
        height, width = rgb_hw3.shape[:2]
        return Sample(name, rgb_hw3, self._pairs[name].read((height, width)))


def _contents(root: Path) -> str:
    """Say what is there instead of the data set."""
    if root.is_file():
        return "it is one file"
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError as error:
        return f"it cannot be listed: {error}"
    links = [path.relative_to(root).as_posix() for path in linked_folders(root)]
    words = f"it holds {_shown(names) or 'nothing'}"
    return f"{words}; linked folders are not entered: {_shown(links)}" if links else words


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_NUM_SHOWN]) + (", ..." if len(names) > _NUM_SHOWN else "")
