"""The bench on real, small architectures with seeded weights: each control changes one thing."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.coarse.part import Coarse
from redepth.config import LabelSettings
from redepth.errors import ConfigError
from redepth.lab.bench import Bench, other_image, wrong_caption
from redepth.lab.experiments import Condition, Subject
from redepth.lab.measurement import Measurement
from redepth.lab.running import measure_subjects
from redepth.lab.scoring import Region
from redepth.refiners.identity import Identity
from redepth.refiners.redepth_anything import Prior, ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.scenes.families import FAMILIES, render_scene
from redepth.scenes.scene import Split
from redepth.settings import Weights

ALL = tuple(Condition)
# Two seeds: with one, the "trained" prior and the untrained one would be the same.
SETTINGS = LabelSettings(
    coarse=Coarse(preset="mini", size_px=32, weights=Weights(seed=0)),
    refiner=ReDepthAnything(
        prior=Prior(preset="mini", weights=Weights(seed=1)), num_members=2, num_steps=2
    ),
)
SUBJECTS = [
    Subject("coins", 0, Split.HELD_OUT, ALL, num_members=2),
    Subject("plants", 1, Split.HELD_OUT, (Condition.COARSE, Condition.FULL)),
]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(SETTINGS)


@pytest.fixture(scope="module")
def coin(bench: Bench) -> Measurement:
    return bench.measure(SUBJECTS[0])


def test_every_condition_is_scored(coin: Measurement) -> None:
    assert set(coin.scores) == set(Condition)
    assert all(set(regions) == set(Region) for regions in coin.scores.values())
    assert set(coin.depths) == {Condition.COARSE, Condition.FULL}
    assert coin.pixels is not None


def test_every_condition_is_another_map(coin: Measurement) -> None:
    errors = [regions[Region.WHOLE].abs_rel for regions in coin.scores.values()]
    assert len(set(errors)) == len(Condition)


def test_a_measurement_does_not_depend_on_what_was_measured_before(
    bench: Bench, coin: Measurement
) -> None:
    bench.measure(SUBJECTS[1])
    again = bench.measure(SUBJECTS[0])
    assert again.scores == coin.scores


def test_the_first_member_of_an_ensemble_is_the_single_one(bench: Bench, coin: Measurement) -> None:
    alone = bench.measure(Subject("coins", 0, Split.HELD_OUT, (Condition.FULL,)))
    assert alone.scores[Condition.FULL] == coin.scores[Condition.FULL]
    assert alone.pixels is None


def test_smoothness_alone_never_asks_the_prior(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the prior was asked")

    monkeypatch.setattr(DiffusionPrior, "predict_noise", refuse)
    subject = Subject("coins", 0, Split.HELD_OUT, (Condition.SMOOTHNESS_ONLY,))
    assert set(bench.measure(subject).scores) == {Condition.SMOOTHNESS_ONLY}
    with pytest.raises(AssertionError, match="was asked"):
        bench.measure(Subject("coins", 0, Split.HELD_OUT, (Condition.FULL,)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_caption_names_another_thing_under_the_same_light(family: str) -> None:
    scene = render_scene(family, 5, 32, Split.HELD_OUT)
    wrong = wrong_caption(scene)
    assert wrong.split(", ")[-1] == scene.caption.split(", ")[-1]
    assert wrong != scene.caption


def test_another_image_is_of_the_family_and_not_the_same() -> None:
    scene = render_scene("faces", 5, 32, Split.HELD_OUT)
    other = other_image(scene)
    assert (other.family, other.split) == (scene.family, scene.split)
    assert not np.array_equal(other.rgb_hw3, scene.rgb_hw3)


def test_a_recipe_without_the_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="redepth_anything"):
        Bench(SETTINGS.model_copy(update={"refiner": Identity()}))


@pytest.mark.slow
def test_two_processes_measure_what_one_does() -> None:
    alone = measure_subjects(SUBJECTS, SETTINGS, num_processes=1)
    together = measure_subjects(SUBJECTS, SETTINGS, num_processes=2)
    for first, second in zip(alone, together, strict=True):
        assert first.subject == second.subject
        assert str(first.scores) == str(second.scores)
