"""Labels of an expensive refiner, as a student is distilled from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.dataset as pads

from redepth.errors import ConfigError
from redepth.refiners.triage import routing_facts
from redepth.store.reader import Labels, StoredLabel, open_labels
from redepth.training.examples.teacher_pictures import TeacherPicture
from redepth.types import DepthKind, FloatMap, LabelRow, Outcome


class TeacherLabels:
    """The refined images of some outputs: `TeacherPictures`.

    Images that fell back are left out: there the teacher has nothing to teach. Of a cascade's
    output the images that its expensive refiner made count: a student does not learn from itself.
    An image that several outputs hold is read from the last of them.

    Attributes:
        recipes: name and digest of each output's recipe.
        models: the models that made the labels, each with its licence.
        is_non_commercial: whether one of these licences forbids commercial use.
    """

    def __init__(self, urls: Sequence[str], allow: Sequence[str] = ()) -> None:
        """Find the refined images.

        Args:
            urls: outputs of `redepth label`.
            allow: where photographs may be read, beside files of this machine and the labels' own
                bucket or host.

        Raises:
            ConfigError: there are none, or maps of several kinds.
        """
        if not urls:
            raise ConfigError(
                "data.labels is empty: name outputs of redepth label with the teacher's recipe"
            )
        outputs = [open_labels(url) for url in urls]
        self._labels = outputs
        self._photographs = [labels.photographs(allow) for labels in outputs]
        self._kinds: set[DepthKind] = set()
        self._places: dict[str, int] = {}
        for number, labels in enumerate(outputs):
            self._add(number, labels)
        self.ids = tuple(sorted(self._places))
        if not self.ids:
            raise ConfigError(
                f"{', '.join(urls)} holds no refined label: label images with the teacher's recipe "
                "first, redepth label IMAGES --out TEACHER --recipe NAME"
            )
        if len({kind.grows_towards_camera for kind in self._kinds}) > 1:
            raise ConfigError(
                f"the labels are of kinds {', '.join(sorted(self._kinds))}, which a student cannot "
                "learn from together: give outputs of one kind"
            )
        datasets = [labels.dataset for labels in outputs]
        self.recipes = tuple((d.recipe_name, d.recipe_digest) for d in datasets)
        cards = {card.name: card for d in datasets for card in d.models}
        self.models = tuple(f"{card.name}: {card.licence}" for card in cards.values())
        self.is_non_commercial = any(card.non_commercial for card in cards.values())

    @property
    def is_metric(self) -> bool:
        """Whether the maps are in metres."""
        return all(kind.is_metric for kind in self._kinds)

    def row(self, number: int) -> LabelRow:
        """Return the catalogue's row of the image `ids[number]`."""
        return self._label(number).row

    def read(self, number: int) -> TeacherPicture:
        """Read photograph, maps and confidence of the image `ids[number]`.

        Raises:
            ImageRejected: the photograph that was labelled cannot be read; says why.
        """
        label = self._label(number)
        photographs = self._photographs[self._places[label.row.id]]
        coarse_hw, refined_hw = (_near_is_large(map_hw, label) for map_hw in _maps(label))
        known_hw = np.isfinite(coarse_hw) & np.isfinite(refined_hw)
        confidence_hw = np.asarray(label.confidence, np.float32)
        weight_hw = np.where(np.isfinite(confidence_hw), confidence_hw, np.float32(1.0))
        return TeacherPicture(
            label.row.id,
            photographs.open_as_seen(label.row).rgb_hw3,
            _without_holes(coarse_hw, known_hw),
            _without_holes(refined_hw, known_hw),
            np.where(known_hw, weight_hw, np.float32(0.0)),
        )

    def _add(self, number: int, labels: Labels) -> None:
        refined = pads.field("outcome") == Outcome.REFINED.value
        routing = routing_facts(labels.dataset.models)
        for row in labels.table(["id", "kind", "refined_by"], filter=refined).to_pylist():
            if routing is not None and row["refined_by"] != routing.expensive:
                continue
            self._places[row["id"]] = number
            self._kinds.add(DepthKind(row["kind"]))

    def _label(self, number: int) -> StoredLabel:
        image_id = self.ids[number]
        return self._labels[self._places[image_id]][image_id]


def _maps(label: StoredLabel) -> tuple[FloatMap, FloatMap]:
    return label.coarse, label.refined


def _near_is_large(map_hw: FloatMap, label: StoredLabel) -> FloatMap:
    assert label.row.kind is not None, "refined labels have a kind"
    return map_hw if DepthKind(label.row.kind).grows_towards_camera else -map_hw


def _without_holes(map_hw: FloatMap, known_hw: np.ndarray) -> FloatMap:
    """Give pixels where nothing is known the farthest value that is, float32 [H, W]."""
    if known_hw.all() or not known_hw.any():
        return np.nan_to_num(map_hw) if not known_hw.any() else map_hw
    return np.where(known_hw, map_hw, map_hw[known_hw].min())
