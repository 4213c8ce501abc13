"""One file of ground truth, not read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redepth.datasets.files import first_matching, name_below
from redepth.datasets.ground_truth import GroundTruth, Size, require_same_frame
from redepth.errors import ConfigError

Read = Callable[[Path, Size], GroundTruth]


@dataclass(frozen=True, slots=True)
class DepthFile:
    """Where the ground truth of one photograph lies, and how it is read.

    Attributes:
        name: what pairs it with a photograph: a path below the folder, without suffix.
        path: the file.
        load: reads it, given the photograph's (height, width), which headerless files need.
        photograph: path of its photograph below the folder, where the data set's layout says it.
        root: the data set's folder, to which `name` and `photograph` are relative.
        is_stated: whether a list states the photograph; then no other is looked for.
        refusal: what it means that a photograph has this name, where none can have it: that the
            whole is numbered otherwise, and every other pair is wrong as well.
    """

    name: str
    path: Path
    load: Read = field(repr=False)
    photograph: str | None = None
    root: Path | None = field(default=None, repr=False)
    is_stated: bool = False
    refusal: str | None = field(default=None, repr=False)

    def read(self, image_hw: Size) -> GroundTruth:
        """Read the ground truth.

        Raises:
            ConfigError: not a file of this format, or of another shape than the photograph; names
                the file.
        """
        try:
            truth = self.load(self.path, image_hw)
        except (OSError, ValueError, TypeError) as error:  # a reader of another package, too
            raise ConfigError(f"{self.path} holds no depth that can be read: {error}") from error
        require_same_frame(truth, image_hw, self.path)
        return truth


def by_pattern(
    read: Read, *patterns: str, photograph_of: Callable[[str], str] | None = None
) -> Callable[[Path], list[DepthFile]]:
    """Return what lists the files that the first matching glob finds.

    Args:
        photograph_of: path of a depth file -> path of its photograph, both below the folder, where
            the data set's layout says it; else a file's own path is its name.
    """

    def depth_file(root: Path, path: Path) -> DepthFile:
        if photograph_of is None:
            return DepthFile(name_below(root, path), path, read, root=root)
        photograph = photograph_of(path.relative_to(root).as_posix())
        return DepthFile(name_below(root, root / photograph), path, read, photograph, root)

    def list_files(root: Path) -> list[DepthFile]:
        return [depth_file(root, path) for path in first_matching(root, patterns)]

    return list_files
