"""What may fail before a run is stopped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.config import load_recipe
from redepth.errors import ConfigError, TooManyFailures
from redepth.failure_budget import FailureBudget


@pytest.mark.parametrize(
    ("text", "ended", "images", "failed_allowed"),
    [
        ("0", 5, 10, 0),
        ("3", 50, 10_000, 3),
        ("0%", 50, 10_000, 0),
        ("2%", 1, 10_000, 2),  # the first hundred are judged as a hundred
        ("2%", 100, 10_000, 2),
        ("2%", 1000, 10_000, 20),
        ("50%", 1, 4, 2),  # or as all, where there are fewer
        ("12.5%", 8, 8, 1),
        ("100%", 7, 7, 7),
    ],
)
def test_one_more_than_allowed_is_too_many(
    text: str, ended: int, images: int, failed_allowed: int
) -> None:
    budget = FailureBudget.parse(text)
    budget.require_kept(failed_allowed, ended, images, "")
    with pytest.raises(
        TooManyFailures, match=f"{failed_allowed + 1} of the first {ended} .* broke"
    ):
        budget.require_kept(failed_allowed + 1, ended, images, "it broke")


@given(st.floats(0, 100), st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_run_without_failures_is_never_stopped(share: float, ended: int, images: int) -> None:
    assert not FailureBudget.parse(f"{share:f}%").is_exceeded(0, ended, images)


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "2 percent", "2.5", "nan%"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="max_failures"):
        FailureBudget.parse(text)


def test_the_recipe_takes_a_budget() -> None:
    assert load_recipe("mini", ["run.actors.max_failures='2%'"]).run.actors.max_failures == "2%"
    with pytest.raises(ConfigError, match="max_failures"):
        load_recipe("mini", ["run.actors.max_failures=many"])
