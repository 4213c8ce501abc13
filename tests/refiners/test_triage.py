"""A triage: monotone, fitted to held-out images in any order, and read with its provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.errors import ConfigError
from redepth.refiners.triage import FILE, SHARES, Budget, Teacher, Triage, fit_triage, read_triage
from redepth.settings import Weights

TEACHER = Teacher(recipe="thorough", digest="0" * 64)
gain = st.floats(0, 1e3, allow_nan=False).map(lambda value: round(value, 6))
held_out = st.lists(st.tuples(gain, gain), min_size=1, max_size=60).filter(
    lambda pairs: sum(actual for _, actual in pairs) > 0
)


def fitted(pairs: list[tuple[float, float]]) -> Triage:
    predicted, actual = zip(*pairs, strict=True)
    return fit_triage(predicted, actual, TEACHER)


@given(pairs=held_out, shares=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_larger_share_never_has_a_higher_threshold_or_a_smaller_gain(
    pairs: list[tuple[float, float]], shares: list[float]
) -> None:
    triage = fitted(pairs)
    ordered = sorted({*shares, *SHARES})
    thresholds = [triage.threshold(share) for share in ordered]
    gains = [triage.expected_gain(share) for share in ordered]
    assert (np.diff(thresholds) <= 1e-9).all() and thresholds[-1] == 0.0
    assert (np.diff(gains) >= -1e-9).all()
    assert gains[0] == 0.0 and gains[-1] == pytest.approx(1.0)


@given(pairs=held_out, seed=st.integers(0, 9))
def test_the_order_of_the_images_does_not_matter(
    pairs: list[tuple[float, float]], seed: int
) -> None:
    shuffled = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    one, other = fitted(pairs), fitted(shuffled)
    for mine, theirs in zip(one.budgets, other.budgets, strict=True):
        assert mine.threshold == theirs.threshold
        assert mine.expected_gain == pytest.approx(theirs.expected_gain)


@given(pairs=held_out, share=st.sampled_from(SHARES))
def test_no_more_than_the_share_lies_above_its_threshold(
    pairs: list[tuple[float, float]], share: float
) -> None:
    threshold = fitted(pairs).threshold(share)
    above = sum(predicted > threshold for predicted, _ in pairs)
    assert above <= share * len(pairs) + 1


def test_the_table_of_known_images() -> None:
    """100 images, predicted 1 to 100; the ten highest change by 5, the others by 1."""
    predicted = np.arange(1.0, 101.0)
    triage = fit_triage(predicted, np.where(predicted > 90, 5.0, 1.0), TEACHER)
    by_share = {budget.share: budget for budget in triage.budgets}
    assert tuple(by_share) == SHARES and triage.num_images == 100
    assert by_share[0.0].threshold == 100.0
    assert by_share[0.1].threshold == pytest.approx(90.1)
    assert sum(predicted > by_share[0.1].threshold) == 10
    assert by_share[0.1].expected_gain == pytest.approx(50 / 140)
    assert by_share[0.3].expected_gain == pytest.approx(70 / 140)


def test_a_prediction_that_knows_nothing_brings_what_its_share_is() -> None:
    triage = fit_triage(np.ones(50), np.arange(50.0), TEACHER)
    for share in (0.01, 0.2, 0.5):
        assert triage.expected_gain(share) == pytest.approx(share)


def test_between_budgets_the_threshold_is_linear_in_the_logarithm_of_the_share() -> None:
    rows = ((0.0, 4.0, 0.0), (0.01, 3.0, 0.2), (1.0, 0.0, 1.0))
    budgets = tuple(Budget(share=s, threshold=t, expected_gain=g) for s, t, g in rows)
    triage = Triage(budgets=budgets, num_images=9, teacher=TEACHER)
    assert triage.threshold(0.1) == pytest.approx(1.5)
    assert triage.threshold(0.005) == pytest.approx(3.5)
    assert triage.expected_gain(0.505) == pytest.approx(0.6)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        triage.threshold(1.5)


@pytest.mark.parametrize(
    "rows",
    [
        ((0.0, 1.0, 0.0), (0.5, 0.5, 0.5)),
        ((0.0, 1.0, 0.0), (0.5, 2.0, 0.5), (1.0, 0.0, 1.0)),
        ((0.0, 1.0, 0.0), (0.5, 0.5, 0.9), (1.0, 0.0, 0.8)),
    ],
)
def test_a_table_that_is_not_monotone_is_refused(rows: tuple[tuple[float, ...], ...]) -> None:
    budgets = [{"share": s, "threshold": t, "expected_gain": g} for s, t, g in rows]
    with pytest.raises(ValueError, match=r"budgets must|larger share"):
        Triage.model_validate({"budgets": budgets, "num_images": 1, "teacher": TEACHER})


@pytest.mark.parametrize(
    ("predicted", "actual", "said"),
    [
        ([], [], "predicted gains"),
        ([1.0, np.nan], [1.0, 1.0], "predicted gains"),
        ([1.0], [-1.0], "actual gains"),
        ([1.0], [1.0, 2.0], "1 predicted gains and 2"),
        ([1.0, 2.0], [0.0, 0.0], "changed no held-out image"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    predicted: list[float], actual: list[float], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        fit_triage(predicted, actual, TEACHER)


def test_it_is_read_from_the_weights_folder_with_its_digest(tmp_path: Path) -> None:
    weights = Weights(folder=str(tmp_path), licence="MIT")
    with pytest.raises(ConfigError, match=r"has no triage\.json"):
        read_triage(weights, None)
    triage = fit_triage([0.1, 0.2], [0.1, 0.3], TEACHER)
    (tmp_path / FILE).write_text(triage.model_dump_json())
    first = read_triage(weights, None)
    assert first.triage == triage
    assert (first.card.role, first.card.licence) == ("triage", "MIT")
    (tmp_path / FILE).write_text(fit_triage([0.1, 0.3], [0.1, 0.3], TEACHER).model_dump_json())
    assert read_triage(weights, None).card.sha256 != first.card.sha256
    (tmp_path / FILE).write_text('{"budgets": []}')
    with pytest.raises(ConfigError, match="not readable"):
        read_triage(weights, None)
