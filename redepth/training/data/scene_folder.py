"""Scenes as `redepth scenes` writes them, with exact depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.scenes.collection import read_collection, read_truth
from redepth.training.data import DepthExample, read_picture


class SceneFolder:
    """A collection of scenes: a `DepthData`."""

    def __init__(self, folder: Path) -> None:
        """Read the list; raises ConfigError if there is none or a file of it is missing."""
        self._folder = folder
        rows = sorted(read_collection(folder), key=lambda row: row.uri)
        named = [name for row in rows for name in (row.uri, row.truth)]
        missing = [name for name in named if not (folder / name).is_file()]
        if missing:
            raise ConfigError(f"{folder} lacks {len(missing)} files of its list: {missing[0]}, ...")
        self._rows = rows
        self.images = [row.uri for row in rows]

    def read(self, number: int) -> DepthExample:
        """Read a scene."""
        row = self._rows[number]
        depth_hw = read_truth(self._folder, row).depth_hw
        rgb_hw3 = read_picture(self._folder / row.uri)
        return DepthExample(rgb_hw3, depth_hw, np.isfinite(depth_hw) & (depth_hw > 0))
