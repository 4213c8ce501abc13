"""What a student keeps of its teacher's gain, against exact depth.

The teacher refines scenes of some families. A student is distilled from these labels by the
training that `redepth distill` runs, and both are scored on scenes that nobody was trained on: of
the same families, and of others. The controls are students of the same network and training whose
labels are not the teacher's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from redepth.coarse.estimator import load_token_estimator
from redepth.config import LabelSettings
from redepth.datasets.sample import Samples
from redepth.errors import ConfigError, RefinementFailed
from redepth.lab.scoring import score
from redepth.labelling.ensemble import reduce_members
from redepth.refiners import refiners
from redepth.refiners.distilled import Distilled
from redepth.refiners.distilled.loading import load_student
from redepth.refiners.distilled.refiner import DistilledRefiner
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split
from redepth.settings import Compute, Weights
from redepth.training.examples.teacher_pictures import TeacherPicture
from redepth.types import CoarseDepth, FloatMap

CPU = torch.device("cpu")


class Lesson(StrEnum):
    """What a student is taught.

    TEACHER: the method.
    COARSE: the coarse maps: there is nothing to gain.
    SHUFFLED: each picture gets the teacher's change of another scene of its family.
    TRUTH: exact depth: what such a network could learn at best.
    """

    TEACHER = "teacher"
    COARSE = "coarse"
    SHUFFLED = "shuffled"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class SceneId:
    """Which scene: a family, a seed, a split."""

    family: str
    seed: int
    split: Split

    def render(self, size_px: int) -> Scene:
        return render_scene(self.family, self.seed, size_px, self.split)

    @property
    def name(self) -> str:
        return f"{self.split.value}-{self.family}-{self.seed}"


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A scene as the teacher left it.

    Attributes:
        coarse: its coarse map.
        refined_hw: float32 [H, W], the teacher's; the coarse map where no member came through.
        cpu_seconds: that refining took.
    """

    place: SceneId
    coarse: CoarseDepth
    refined_hw: FloatMap
    cpu_seconds: float


class SceneTeacher:
    """The models of a recipe, as they refine scenes; everything on one CPU thread."""

    def __init__(self, settings: LabelSettings) -> None:
        """Load the recipe's models.

        Raises:
            ConfigError: weights cannot be had.
        """
        torch.set_num_threads(1)
        self._settings = settings
        self._estimator = load_token_estimator(settings.coarse, CPU)
        context = LoadContext(self._estimator, settings.compute, CPU, settings.seed)
        self._refiner: Refiner = refiners[settings.refiner.method].load(settings.refiner, context)
        size_px = settings.coarse.size_px
        self.size_px, _ = self._estimator.processing_size(size_px, size_px)

    def teach(self, place: SceneId) -> Taught:
        """Refine a scene."""
        scene = place.render(self.size_px)
        coarse = self._estimator.estimate(scene.rgb_hw3)
        started = time.process_time()
        try:
            members = self._refiner.refine(judged(scene, coarse))
            refined_hw = reduce_members(members, coarse.map_hw, self._settings.ensemble).map_hw
        except RefinementFailed:
            refined_hw = coarse.map_hw
        return Taught(place, _plain(coarse), refined_hw, time.process_time() - started)


class SceneLabels:
    """Taught scenes in place of a collection's labels: `TeacherPictures`."""

    recipes = (("rendered scenes", "0" * 64),)
    models = ("redepth: Apache-2.0",)
    is_non_commercial = False
    is_metric = False

    def __init__(self, taught: Sequence[Taught], lesson: Lesson) -> None:
        self._taught = {t.place.name: t for t in taught}
        self._lesson = lesson
        self.ids = sorted(self._taught)

    def read(self, number: int) -> TeacherPicture:
        """Return a scene with what the lesson says in the teacher's place."""
        taught = self._taught[self.ids[number]]
        scene = taught.place.render(len(taught.refined_hw))
        return TeacherPicture(
            taught.place.name,
            scene.rgb_hw3,
            taught.coarse.map_hw,
            self._lesson_of(taught, scene).astype(np.float32),
            np.ones_like(taught.refined_hw),
        )

    def coarse_maps(self, url: str, images: Sequence[str]) -> Callable[[str], CoarseDepth]:
        raise ConfigError("a student is distilled here, and nothing else")

    def photographs(self, url: str) -> tuple[Samples, Callable[[str], CoarseDepth]]:
        raise ConfigError("a student is distilled here, and nothing else")

    def teacher(self, urls: Sequence[str], allow: Sequence[str]) -> SceneLabels:
        """Return the labels, whatever they are called."""
        return self

    def _lesson_of(self, taught: Taught, scene: Scene) -> np.ndarray:
        match self._lesson:
            case Lesson.TEACHER:
                return taught.refined_hw
            case Lesson.COARSE:
                return taught.coarse.map_hw
            case Lesson.TRUTH:
                return 1.0 / scene.depth_hw
            case Lesson.SHUFFLED:
                other = self._neighbour(taught)
                return taught.coarse.map_hw + (other.refined_hw - other.coarse.map_hw)

    def _neighbour(self, taught: Taught) -> Taught:
        """Return the next scene of the family; the first one after the last."""
        family = [t for t in self._taught.values() if t.place.family == taught.place.family]
        return family[(family.index(taught) + 1) % len(family)]


@dataclass(frozen=True, slots=True)
class Judged:
    """One scene under every way of refining it.

    Attributes:
        coarse, teacher, student: AbsRel and the normals' error in degrees, over the whole picture;
            a student that leaves the image alone keeps the coarse map.
        left_alone: whether it did.
        predicted_gain: what the student expects the teacher to change; None where it left it alone.
        cpu_seconds: of the teacher and of the student.
    """

    place: SceneId
    coarse: tuple[float, float]
    teacher: tuple[float, float]
    student: tuple[float, float]
    left_alone: bool
    predicted_gain: float | None
    cpu_seconds: tuple[float, float]

    def cascade(self, threshold: float) -> tuple[float, float]:
        """Return the figures where the teacher is asked above a predicted gain."""
        return self.teacher if self.is_sent(threshold) else self.student

    def is_sent(self, threshold: float) -> bool:
        """Return whether the teacher is asked."""
        return self.predicted_gain is None or self.predicted_gain > threshold


class StudentBench:
    """A student that was distilled, on one CPU thread."""

    def __init__(self, folder: Path, variant: str) -> None:
        """Load it. Raises ConfigError as `load_student`."""
        torch.set_num_threads(1)
        weights = Weights(folder=str(folder), variant=variant)
        self._refiner = DistilledRefiner(Distilled(), load_student(weights, None, Compute(), CPU))

    def judge(self, taught: Taught) -> Judged:
        """Refine a scene and score coarse, teacher's and student's map."""
        scene = taught.place.render(len(taught.refined_hw))
        started = time.process_time()
        members = self._refiner.refine(judged(scene, taught.coarse))
        gain = None if members.refused else members.predicted_gain
        seconds = time.process_time() - started
        map_hw = members.maps_ehw.mean(axis=0)
        return Judged(
            taught.place,
            _figures(taught.coarse.map_hw, scene),
            _figures(taught.refined_hw, scene),
            _figures(map_hw, scene),
            gain is None,
            gain,
            (taught.cpu_seconds, seconds),
        )


def judged(scene: Scene, coarse: CoarseDepth) -> RefinementInput:
    """Return a scene as a refiner sees it."""
    return RefinementInput(scene.id, scene.rgb_hw3, coarse, scene.caption)


def sent_share(found: Sequence[Judged], threshold: float) -> float:
    """Return the share of the scenes that the teacher is asked about."""
    return float(np.mean([one.is_sent(threshold) for one in found]))


def by_family(found: Sequence[Judged]) -> Mapping[str, list[Judged]]:
    """Return what was judged by family, in the order of the first of each."""
    families: dict[str, list[Judged]] = {}
    for one in found:
        families.setdefault(one.place.family, []).append(one)
    return families


def _figures(map_hw: FloatMap, scene: Scene) -> tuple[float, float]:
    scores = score(map_hw, scene, np.ones_like(scene.mask_hw))
    return float(scores.abs_rel), float(scores.normal_deg)


def _plain(coarse: CoarseDepth) -> CoarseDepth:
    """Return a coarse map without the tokens it came from."""
    return replace(coarse, features=None)
