"""A student at work: one pass for an image, and a word where it does not know what it sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from redepth.coarse.batches import only
from redepth.errors import RefinementFailed
from redepth.refiners.batches import RefineOutcome
from redepth.refiners.distilled import PRESETS, Distilled
from redepth.refiners.distilled.gain import Cues
from redepth.refiners.distilled.loading import Student, load_student
from redepth.refiners.distilled.pipeline import Answers
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput
from redepth.types import ByteImage, Members, ModelCard


class DistilledRefiner:
    """Refine an image, or a batch, with a student that is loaded once."""

    def __init__(self, settings: Distilled, student: Student) -> None:
        self._settings = settings
        self._student = student

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The student."""
        return (self._student.card,)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: nothing here reads a prompt."""
        return None

    def refine(self, scene: RefinementInput) -> Members:
        """Return one member, or two: of the picture, and of its mirror image.

        Returns:
            Members, float32 [E, H, W], in the coarse map's unit, with the gain that the teacher is
            expected to bring. Of an image unlike those that were distilled from the coarse map is
            kept: `refused` says so.

        Raises:
            RefinementFailed: the map is not finite.
        """
        return only(self.refine_batch([scene]))

    @torch.inference_mode()
    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        """Return what `refine` would of each image; see `BatchRefiner`.

        Args:
            scenes: with maps of one kind.
        """
        (larger_is_nearer,) = {scene.coarse.kind.grows_towards_camera for scene in scenes}
        answers = self._student.pipeline.answer(
            [scene.rgb_hw3 for scene in scenes],
            [scene.coarse.map_hw for scene in scenes],
            num_members=self._settings.num_members,
            larger_is_nearer=larger_is_nearer,
        )
        return [self._outcome(scene, answers, number) for number, scene in enumerate(scenes)]

    def _outcome(self, scene: RefinementInput, answers: Answers, number: int) -> RefineOutcome:
        maps_ehw = np.array(answers.maps_behw[number])  # a view would keep the neighbours
        if not np.isfinite(maps_ehw).all():
            return RefinementFailed("the student's map is not finite")
        gain = self._student.gain
        cues = Cues(
            float(answers.change_b[number]),
            float(answers.disagreement_b[number]),
            self._student.familiar.distance(answers.features_bd[number]),
        )
        predicted = gain.predict(cues)
        if cues.distance <= gain.max_distance:
            return Members(maps_ehw, predicted_gain=predicted)
        words = (
            f"unlike what the student was distilled from: distance {cues.distance:.2f}, and it "
            f"refines up to {gain.max_distance:.2f}"
        )
        return Members(scene.coarse.map_hw[None], refused=words, predicted_gain=predicted)


def load_distilled_refiner(settings: Distilled, context: LoadContext) -> DistilledRefiner:
    """Load a student. Raises ConfigError as `load_student`."""
    model = settings.model
    student = load_student(model.weights, PRESETS[model.preset], context.compute, context.device)
    return DistilledRefiner(settings, student)
