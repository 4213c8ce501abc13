"""Coarse maps for a training, as the label pipeline computed and stored them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redepth.errors import ConfigError
from redepth.store.reader import Labels
from redepth.types import CoarseDepth, DepthKind, FloatMap


class LabelledCoarseMaps:
    """The coarse maps of a data set's pictures, out of an output of `redepth label`.

    A picture is known by its path relative to the data set's folder, wherever that folder lay when
    it was labelled.
    """

    def __init__(self, labels: Labels, images: Sequence[str]) -> None:
        """Find every picture's label.

        Raises:
            ConfigError: pictures have none; the first are named.
        """
        rows = labels.with_maps().table(["id", "uri"]).to_pylist()
        by_end: dict[str, str] = {}
        for depth in {image.count("/") for image in images}:
            for row in rows:
                by_end["/".join(row["uri"].rsplit("/", depth + 1)[-depth - 1 :])] = row["id"]
        missing = [image for image in images if image not in by_end]
        if missing:
            raise ConfigError(
                f"{labels.url} has no coarse map of {len(missing)} of {len(images)} pictures: "
                f"{', '.join(missing[:3])}. Label the data set's folder first: redepth label DATA "
                "--out LABELS --recipe coarse"
            )
        self._labels = labels
        self._ids = {image: by_end[image] for image in images}

    def __call__(self, image: str) -> CoarseDepth:
        """Read the coarse map of a picture."""
        label = self._labels[self._ids[image]]
        assert label.row.kind is not None, "labels with maps have a kind"
        return CoarseDepth(without_holes(label.coarse), DepthKind(label.row.kind))


def without_holes(map_hw: FloatMap) -> FloatMap:
    """Return a map in which pixels without a value have the largest one, float32 [H, W].

    Only metric maps have such pixels: what is at their far limit.
    """
    known_hw = np.isfinite(map_hw)
    if known_hw.all() or not known_hw.any():
        return map_hw
    return np.where(known_hw, map_hw, map_hw[known_hw].max())
