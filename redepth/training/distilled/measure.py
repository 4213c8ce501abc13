"""What a student is worth: compared with its teacher on images that neither training step has seen.

There is no truth among photographs. What can be measured is how much of the teacher's change the
student reproduces, and whether it knows where it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from redepth.errors import ConfigError
from redepth.refiners.distilled.familiar import FamiliarImages
from redepth.refiners.distilled.gain import Cues, Gain
from redepth.refiners.distilled.pipeline import DistilledPipeline
from redepth.refiners.triage import Teacher, Triage, fit_triage
from redepth.training.distilled.loss import framed
from redepth.training.examples.teacher import TeacherBatch, as_batch
from redepth.training.examples.teacher_pictures import TeacherPictures

# Of the images kept out: a farther one is unlike all that the student has seen.
_FAMILIAR_SHARE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One image as the student saw it.

    Attributes:
        features_d: float32 [D], the network's own.
        change, disagreement: as in `Cues`.
        teacher_change: mean |teacher - coarse|, and
        left: mean |teacher - student|, both weighted, as shares of the coarse map's range.
    """

    id: str
    features_d: Tensor
    change: float
    disagreement: float
    teacher_change: float
    left: float


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What became of a student.

    Attributes:
        held_out: images that were kept out of the training.
        cues: of each of them.
        gain: fitted on them.
    """

    held_out: Sequence[Seen]
    cues: Sequence[Cues]
    images: FamiliarImages
    gain: Gain

    @property
    def kept_share(self) -> float:
        """The share of the teacher's change that the student reproduces, over all held-out images.

        1 - sum of what is left / sum of the teacher's changes; 0 of a student that changes nothing.
        """
        changed = sum(seen.teacher_change for seen in self.held_out)
        return 1.0 - sum(seen.left for seen in self.held_out) / changed if changed else 0.0

    def triage(self, recipe: str, digest: str) -> Triage:
        """Fit which share of images lies above which predicted gain; see `fit_triage`.

        Args:
            recipe, digest: of the teacher.
        """
        left = [seen.left for seen in self.held_out]
        return fit_triage(self.predicted, left, Teacher(recipe=recipe, digest=digest))

    @property
    def predicted(self) -> list[float]:
        """The gain that each held-out image was expected to have."""
        return [self.gain.predict(cues) for cues in self.cues]


@torch.no_grad()
def look(
    pipeline: DistilledPipeline,
    pictures: TeacherPictures,
    numbers: Sequence[int],
    count: Callable[[int], None],
) -> list[Seen]:
    """Show images to a student, one by one, at their own size.

    Args:
        count: called with how many more were shown.
    """
    found = []
    for number in numbers:
        picture = pictures.read(number)
        batch = as_batch(picture, pipeline.unet.device, is_free=not pictures.is_metric)
        found.append(_seen(pipeline, picture.id, batch))
        count(1)
    return found


def judge(learned: Sequence[Seen], held_out: Sequence[Seen]) -> Judgement:
    """Fit what a student knows of itself.

    Args:
        learned: images that it was trained on: those that are familiar to it.
        held_out: others of the same collection; what is left to the teacher there is fitted by
            non-negative least squares.

    Raises:
        ConfigError: the teacher changed none of them.
    """
    if not any(seen.teacher_change for seen in held_out):
        raise ConfigError(
            f"the teacher changed none of the {len(held_out)} images that were kept out: there is "
            "nothing to learn from it. Was its recipe the one that you meant?"
        )
    images = FamiliarImages.of(torch.stack([seen.features_d for seen in learned]))
    cues = [
        Cues(seen.change, seen.disagreement, images.distance(seen.features_d)) for seen in held_out
    ]
    rows = np.array([[1.0, cue.change, cue.disagreement, cue.distance] for cue in cues])
    weights, _ = nnls(rows, np.array([seen.left for seen in held_out]))
    constant, change, disagreement, distance = (float(weight) for weight in weights)
    gain = Gain(
        constant=constant,
        change=change,
        disagreement=disagreement,
        distance=distance,
        max_distance=float(np.quantile(rows[:, 3], _FAMILIAR_SHARE)),
    )
    return Judgement(held_out, cues, images, gain)


def _seen(pipeline: DistilledPipeline, image_id: str, batch: TeacherBatch) -> Seen:
    shown, wanted_1hw = framed(batch)
    changes, features = pipeline.changes(torch.cat((shown, shown.flip(-1))))
    plain, mirrored = changes[0], changes[1].flip(-1)
    change_1hw = ((plain + mirrored) / 2.0)[None]
    weight_1hw = batch.weight_bhw

    def mean(map_1hw: Tensor) -> float:
        """Return the weighted mean; the frame is two units wide."""
        total = (map_1hw.abs() * weight_1hw).sum() / weight_1hw.sum().clamp(min=1e-6)
        return float(total) / 2.0

    return Seen(
        image_id,
        features[0].float().cpu(),
        change=float(change_1hw.abs().mean()) / 2.0,
        disagreement=float((plain - mirrored).abs().mean()) / 2.0,
        teacher_change=mean(wanted_1hw),
        left=mean(wanted_1hw - change_1hw),
    )
