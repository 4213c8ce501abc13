"""One file of ground truth, not read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redepth.datasets.files import first_matching, name_below
from redepth.datasets.ground_truth import GroundTruth, Size, require_same_frame

Read = Callable[[Path, Size], GroundTruth]


@dataclass(frozen=True, slots=True)
class DepthFile:
    """Where the ground truth of one photograph lies, and how it is read.

    Attributes:
        name: what pairs it with a photograph: a path below the folder, without suffix.
        path: the file.
        load: reads it, given the photograph's (height, width), which headerless files need.
        photograph: path of its photograph below the folder, where the data set's layout says it.
    """

    name: str
    path: Path
    load: Read = field(repr=False)
    photograph: str | None = None

    def read(self, image_hw: Size) -> GroundTruth:
        """Read the ground truth.

        Raises:
            ConfigError: not a file of this format, or of another shape than the photograph.
        """
        truth = self.load(self.path, image_hw)
        require_same_frame(truth, image_hw, self.path)
        return truth


def by_pattern(read: Read, *patterns: str) -> Callable[[Path], list[DepthFile]]:
    """Return what lists the files that the first matching glob finds, named by their own paths."""

    def list_files(root: Path) -> list[DepthFile]:
        found = first_matching(root, patterns)
        return [DepthFile(name_below(root, path), path, read) for path in found]

    return list_files
