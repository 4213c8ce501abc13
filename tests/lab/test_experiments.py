"""What is measured: scenes shared out, shared scenes measured once, splits apart."""

from __future__ import annotations

import pytest

from redepth.errors import ConfigError
from redepth.lab.experiments import (
    CANONICAL,
    CONFIDENCE,
    GROUPS,
    Condition,
    Group,
    groups_of,
    plan_subjects,
)
from redepth.scenes.families import FAMILIES
from redepth.scenes.scene import Split

ALL = tuple(GROUPS.values())


def test_every_family_is_in_a_group() -> None:
    assert {name for group in ALL for name in group.families} == set(FAMILIES)


@pytest.mark.parametrize("group", ALL, ids=GROUPS)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_scenes_are_shared_out_evenly(group: Group, count: int) -> None:
    shares = [len(group.seeds(family, count)) for family in group.families]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


def test_a_scene_of_two_groups_is_measured_once_under_the_conditions_of_both() -> None:
    subjects = plan_subjects(ALL, count=10, num_tuning=5, num_members=2)
    places = [(s.family, s.seed, s.split) for s in subjects]
    assert len(set(places)) == len(places)
    (shared,) = (s for s in subjects if (s.family, s.seed, s.split) == ("faces", 0, Split.HELD_OUT))
    assert set(shared.conditions) == {*CANONICAL.conditions, *CONFIDENCE.conditions}


def test_the_confidence_is_fitted_on_the_tuning_split_alone() -> None:
    subjects = plan_subjects(ALL, count=10, num_tuning=5, num_members=2)
    tuning = [s for s in subjects if s.split is Split.TUNING]
    assert [s.family for s in tuning] == list(CONFIDENCE.families)
    assert all(s.conditions == (Condition.ENSEMBLE,) for s in tuning)
    judged = [
        s for s in subjects if s.split is Split.HELD_OUT and Condition.ENSEMBLE in s.conditions
    ]
    assert len(judged) == 5


def test_without_an_ensemble_there_is_no_confidence_to_fit() -> None:
    subjects = plan_subjects(ALL, count=10, num_tuning=5, num_members=1)
    assert not any(Condition.ENSEMBLE in s.conditions for s in subjects)
    assert {s.split for s in subjects} == {Split.HELD_OUT}


def test_without_its_group_no_tuning_scene_is_measured() -> None:
    subjects = plan_subjects([CANONICAL], count=10, num_tuning=5, num_members=2)
    assert {s.split for s in subjects} == {Split.HELD_OUT}


def test_groups_are_chosen_by_name() -> None:
    assert groups_of(()) == ALL
    assert groups_of(("canonical", "canonical")) == (CANONICAL,)
    with pytest.raises(ConfigError, match="known: canonical, reliefs"):
        groups_of(("faces",))
