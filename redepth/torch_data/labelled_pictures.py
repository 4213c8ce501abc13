"""Labelled photographs as training data: the picture at its label's size, and the label's map.

There is no truth among them: what stands in its place is the coarse map itself.
"""

from __future__ import annotations

from redepth.datasets.ground_truth import make_ground_truth
from redepth.datasets.sample import Sample
from redepth.errors import ConfigError
from redepth.images.locator import Photographs
from redepth.store.reader import Labels
from redepth.torch_data.coarse_maps import without_holes
from redepth.types import CoarseDepth, DepthKind


class LabelledPictures:
    """The images of a label output whose maps are metric: `Samples`, and its `CoarseMaps`."""

    def __init__(self, labels: Labels, photographs: Photographs) -> None:
        """Take every image that has maps.

        Raises:
            ConfigError: there is none, or maps that are not metric; with what to do.
        """
        rows = labels.with_maps().table(["id", "kind"]).to_pylist()
        if not rows:
            raise ConfigError(
                f"{labels.url} holds no label with maps: label photographs first, redepth label "
                "PHOTOGRAPHS --out LABELS --recipe metric"
            )
        other = {row["kind"] for row in rows} - {DepthKind.METRIC_DEPTH}
        if other:
            raise ConfigError(
                f"{labels.url} holds maps of kind {', '.join(sorted(other))}, expected "
                f"{DepthKind.METRIC_DEPTH}: label with a metric coarse model (--recipe metric)"
            )
        self.images = sorted(row["id"] for row in rows)
        self._labels = labels
        self._photographs = photographs

    def read(self, number: int) -> Sample:
        """Read a photograph at its label's size, with its coarse map where truth would be.

        Raises:
            ImageRejected: the photograph that was labelled cannot be read; says why.
        """
        label = self._labels[self.images[number]]
        image = self._photographs.open_as_seen(label.row)
        return Sample(label.row.id, image.rgb_hw3, make_ground_truth(label.coarse))

    def coarse_map(self, image: str) -> CoarseDepth:
        """Read the coarse map of an image."""
        return CoarseDepth(without_holes(self._labels[image].coarse), DepthKind.METRIC_DEPTH)
