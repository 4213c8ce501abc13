"""The lab's students: what each lesson teaches, what a cascade does, what the bench measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.lab.distillation import (
    Judged,
    Lesson,
    SceneId,
    SceneLabels,
    SceneTeacher,
    StudentBench,
    Taught,
    by_family,
    sent_share,
)
from redepth.scenes.scene import Split
from redepth.types import CoarseDepth, DepthKind

SIZE_PX = 32
MODEL = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini" / "distilled"


def taught(family: str, seed: int) -> Taught:
    """A teacher that adds the number of the scene."""
    place = SceneId(family, seed, Split.TUNING)
    disparity = (1.0 / place.render(SIZE_PX).depth_hw).astype(np.float32)
    coarse = CoarseDepth(disparity[::-1].copy(), DepthKind.AFFINE_DISPARITY)
    return Taught(place, coarse, coarse.map_hw + np.float32(seed), 1.0)


@pytest.mark.parametrize(
    ("lesson", "change"),
    [(Lesson.TEACHER, 1.0), (Lesson.COARSE, 0.0), (Lesson.SHUFFLED, 2.0)],
)
def test_a_lesson_is_what_it_says(lesson: Lesson, change: float) -> None:
    labels = SceneLabels([taught("faces", 1), taught("coins", 7), taught("faces", 2)], lesson)
    picture = labels.read(labels.ids.index("tuning-faces-1"))
    np.testing.assert_allclose(picture.refined_hw - picture.coarse_hw, change, atol=1e-5)
    assert picture.rgb_hw3.shape == (SIZE_PX, SIZE_PX, 3)


def test_the_truth_is_the_scenes_own() -> None:
    labels = SceneLabels([taught("dunes", 3)], Lesson.TRUTH)
    depth_hw = SceneId("dunes", 3, Split.TUNING).render(SIZE_PX).depth_hw
    np.testing.assert_allclose(labels.read(0).refined_hw, 1.0 / depth_hw, rtol=1e-5)
    with pytest.raises(ConfigError, match=r"a student is distilled here"):
        labels.photographs("anything")


def judged(family: str, gain: float | None) -> Judged:
    place = SceneId(family, 0, Split.HELD_OUT)
    return Judged(place, (0.3, 9.0), (0.1, 7.0), (0.2, 8.0), gain is None, gain, (1.0, 0.01))


def test_a_cascade_asks_the_teacher_above_the_threshold_and_where_nobody_knows() -> None:
    few, much, unknown = judged("faces", 0.1), judged("coins", 0.5), judged("coins", None)
    assert few.cascade(0.3) == few.student
    assert much.cascade(0.3) == much.teacher
    assert unknown.cascade(9.0) == unknown.teacher
    assert sent_share([few, much, unknown], 0.3) == pytest.approx(2 / 3)
    assert {name: len(some) for name, some in by_family([few, much, unknown]).items()} == {
        "faces": 1,
        "coins": 2,
    }


def test_the_shipped_student_is_measured_beside_its_teacher() -> None:
    teacher = SceneTeacher(load_recipe("mini-fast", ["labels.refiner.num_steps=2"]).labels)
    found = StudentBench(MODEL, "fp16").judge(teacher.teach(SceneId("faces", 0, Split.TUNING)))
    assert found.student != found.coarse and not found.left_alone
    assert found.teacher != found.coarse
    assert found.predicted_gain is not None and 0 < found.predicted_gain < 1
    assert min(found.cpu_seconds) > 0
