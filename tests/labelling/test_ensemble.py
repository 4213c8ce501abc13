"""Align, reduce, spread, confidence and the guard, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from redepth.confidence.probability import confidence_by_spread
from redepth.config import Ensemble, Guard
from redepth.geometry.alignment import fit_affine
from redepth.labelling.ensemble import Verdict, guard, reduce_members
from redepth.types import DepthKind, FloatMap, Members

RAMP = np.linspace(1.0, 9.0, 12 * 16, dtype=np.float32).reshape(12, 16)
WIDE_RAMP = RAMP.astype(np.float64)
scales = st.floats(0.1, 10.0)
shifts = st.floats(-5.0, 5.0)


def kind_of(is_metric: bool) -> DepthKind:
    return DepthKind.METRIC_DEPTH if is_metric else DepthKind.AFFINE_DISPARITY


def noisy(seed: int, amount: float = 0.1) -> FloatMap:
    noise = np.random.default_rng(seed).normal(0.0, amount, RAMP.shape)
    return (RAMP + noise).astype(np.float32)


class TestReduce:
    def test_mean_is_plain_by_default(self) -> None:
        members = Members(np.stack([RAMP, 3 * RAMP]))
        assert np.allclose(reduce_members(members, RAMP, Ensemble()).map_hw, 2 * RAMP)

    def test_members_that_differ_by_scale_and_shift_have_no_spread(self) -> None:
        refined = reduce_members(
            Members(np.stack([RAMP, 2 * RAMP + 3, 5 * RAMP - 1])), RAMP, Ensemble()
        )
        assert refined.spread_hw.max() < 1e-5
        assert refined.confidence_hw.min() > 0.999

    def test_one_member_has_no_spread_and_no_confidence(self) -> None:
        refined = reduce_members(Members(RAMP[None]), RAMP, Ensemble())
        assert np.array_equal(refined.map_hw, RAMP)
        assert np.isnan(refined.spread_hw).all()
        assert np.isnan(refined.confidence_hw).all()

    def test_spread_is_the_standard_deviation_of_the_aligned_members(self) -> None:
        maps = np.stack([noisy(seed) for seed in range(4)]).astype(np.float64)
        mean = maps.mean(axis=0)
        expected = []
        for member in maps:
            design = np.stack([member.ravel(), np.ones(member.size)], axis=1)
            solution, *_ = np.linalg.lstsq(design, mean.ravel(), rcond=None)
            expected.append((design @ solution).reshape(mean.shape))
        refined = reduce_members(Members(maps.astype(np.float32)), RAMP, Ensemble())
        assert np.allclose(refined.spread_hw, np.std(expected, axis=0), atol=1e-5)

    def test_align_before_mean_undoes_what_scale_did(self) -> None:
        members = Members(np.stack([noisy(0), 10 * noisy(1)]))
        plain = reduce_members(members, RAMP, Ensemble())
        aligned = reduce_members(members, RAMP, Ensemble(align_before_mean=True))
        assert not np.allclose(plain.map_hw, aligned.map_hw)
        fits = [fit_affine(member, plain.map_hw) for member in members.maps_ehw]
        expected = np.mean(
            [fit.apply(member) for fit, member in zip(fits, members.maps_ehw, strict=True)], axis=0
        )
        assert np.allclose(aligned.map_hw, expected, rtol=1e-4)

    @given(
        seed=st.integers(0, 2**32 - 1),
        num=st.integers(2, 5),
        offset=st.floats(-1e3, 1e3),
        settings=st.builds(
            Ensemble,
            align_before_mean=st.booleans(),
            reduction=st.sampled_from(["mean", "median"]),
        ),
        is_metric=st.booleans(),
    )
    def test_the_formulas_of_the_conventions(
        self, seed: int, num: int, offset: float, settings: Ensemble, is_metric: bool
    ) -> None:
        """Each formula as NumPy has it, on maps of any offset, whose members differ in scale."""
        rng = np.random.default_rng(seed)
        scale_e11 = rng.uniform(0.5, 2.0, (num, 1, 1))
        noise_ehw = rng.normal(0.0, 0.1, (num, *RAMP.shape))
        maps_ehw = ((RAMP + noise_ehw) * scale_e11 + offset).astype(np.float32)
        wide_ehw = maps_ehw.astype(np.float64)
        mean_hw = wide_ehw.mean(axis=0)
        fits = [np.polyfit(m.ravel() - offset, mean_hw.ravel(), 1) for m in wide_ehw]
        aligned_ehw = np.stack(
            [np.polyval(f, m - offset) for f, m in zip(fits, wide_ehw, strict=True)]
        )
        aligned_ehw = wide_ehw if is_metric else aligned_ehw
        reduce = np.median if settings.reduction == "median" else np.mean
        map_hw = reduce(aligned_ehw if settings.align_before_mean else wide_ehw, axis=0)
        low, high = np.quantile(map_hw, (0.05, 0.95))
        confidence_hw = np.exp(-aligned_ehw.std(axis=0) / (0.05 * (high - low)))
        found = reduce_members(Members(maps_ehw), RAMP, settings, kind=kind_of(is_metric))
        assert np.allclose(found.map_hw, map_hw, rtol=1e-6)
        assert np.allclose(found.spread_hw, aligned_ehw.std(axis=0), rtol=1e-5, atol=1e-7)
        assert np.allclose(found.confidence_hw, confidence_hw, rtol=1e-5, atol=1e-7)

    def test_members_are_left_as_they_were(self) -> None:
        maps_ehw = np.stack([noisy(0), noisy(1)])
        for is_metric in (False, True):
            reduce_members(Members(maps_ehw), RAMP, Ensemble(), kind=kind_of(is_metric))
            assert np.array_equal(maps_ehw, np.stack([noisy(0), noisy(1)]))

    @given(order=st.permutations(range(4)))
    def test_order_of_members_does_not_matter(self, order: list[int]) -> None:
        maps = np.stack([noisy(seed) for seed in range(4)])
        first = reduce_members(Members(maps), RAMP, Ensemble())
        other = reduce_members(Members(maps[order]), RAMP, Ensemble())
        assert np.allclose(first.map_hw, other.map_hw, rtol=1e-6)
        assert np.allclose(first.spread_hw, other.spread_hw, rtol=1e-4, atol=1e-6)


class TestConfidence:
    def test_formula(self) -> None:
        low, high = np.quantile(WIDE_RAMP, (0.05, 0.95))
        spread = np.full(RAMP.shape, 0.05 * (high - low))
        assert np.allclose(confidence_by_spread(spread, WIDE_RAMP, tau=0.05), np.exp(-1.0))

    @given(scale=scales, shift=shifts)
    def test_unchanged_by_scale_and_shift_of_the_map(self, scale: float, shift: float) -> None:
        spread = np.abs(noisy(3) - RAMP).astype(np.float64)
        first = confidence_by_spread(spread, WIDE_RAMP, 0.05)
        other = confidence_by_spread(spread * scale, WIDE_RAMP * scale + shift, 0.05)
        assert np.allclose(first, other, rtol=1e-6)
        assert ((first >= 0) & (first <= 1)).all()

    def test_larger_spread_is_less_sure(self) -> None:
        spread = np.linspace(0, 2, RAMP.size).reshape(RAMP.shape)
        assert (np.diff(confidence_by_spread(spread, WIDE_RAMP, 0.05).ravel()) < 0).all()

    def test_map_without_range_has_none(self) -> None:
        flat = np.ones((4, 4))
        assert np.isnan(confidence_by_spread(flat, flat, 0.05)).all()


class TestGuard:
    @given(scale=scales, shift=shifts)
    def test_scale_and_shift_are_no_drift(self, scale: float, shift: float) -> None:
        verdict = guard(RAMP, (RAMP * scale + shift).astype(np.float32), Guard())
        assert verdict.collapse is None
        assert verdict.drift < 1e-5
        assert verdict.rank_correlation > 0.999

    def test_a_map_that_was_left_as_it_is_has_moved_nowhere(self) -> None:
        assert guard(RAMP, RAMP.copy(), Guard()) == Verdict(0.0, 1.0, None)

    def test_drift_is_the_mean_difference_after_alignment_over_the_range(self) -> None:
        # A pattern that is orthogonal to the ramp: alignment cannot explain any of it.
        pattern = np.tile([1.0, -1.0, -1.0, 1.0], RAMP.size // 4).reshape(RAMP.shape)
        low, high = np.quantile(RAMP, (0.02, 0.98))
        verdict = guard(RAMP, (RAMP + 0.2 * pattern).astype(np.float32), Guard())
        assert verdict.drift == pytest.approx(0.2 / (high - low), rel=2e-2)

    @given(
        seed=st.integers(0, 2**32 - 1), offset=st.floats(-1e3, 1e3), is_metric=st.booleans(),
        share_known=st.floats(0.2, 1.0),
    )  # fmt: skip
    def test_the_formulas_of_the_conventions(
        self, seed: int, offset: float, is_metric: bool, share_known: float
    ) -> None:
        """Each formula as NumPy and SciPy have it, ties among the values, pixels left out."""
        rng = np.random.default_rng(seed)
        coarse_hw = (np.round(RAMP, 1) + offset).astype(np.float32)
        refined_hw = (coarse_hw + np.round(rng.normal(0, 2, RAMP.shape), 1)).astype(np.float32)
        coarse_hw[rng.random(RAMP.shape) > share_known] = np.nan
        known_hw = np.isfinite(coarse_hw)
        first, second = coarse_hw[known_hw], refined_hw[known_hw]
        centred = second.astype(np.float64) - second.mean(dtype=np.float64)
        aligned = np.polyval(np.polyfit(centred, first, 1), centred)
        low, high = np.quantile(first.astype(np.float64), (0.02, 0.98))
        moved = (second.astype(np.float64) if is_metric else aligned) - first
        found = guard(coarse_hw, refined_hw, Guard(), is_metric=is_metric)
        assert found.drift == pytest.approx(np.abs(moved).mean() / (high - low), rel=1e-6)
        assert found.rank_correlation == pytest.approx(
            spearmanr(first, second).statistic, abs=1e-12
        )

    @pytest.mark.parametrize(
        ("refined", "reason"),
        [
            (np.full_like(RAMP, 3.0), "constant"),
            (np.where(RAMP > 5, np.nan, RAMP).astype(np.float32), "not finite"),
            (-RAMP, "depth order lost"),
        ],
    )
    def test_collapse_is_named(self, refined: FloatMap, reason: str) -> None:
        verdict = guard(RAMP, refined, Guard())
        assert verdict.collapse is not None
        assert reason in verdict.collapse

    @pytest.mark.parametrize("refined", [RAMP, np.ones_like(RAMP)])
    def test_constant_coarse_map_is_named(self, refined: FloatMap) -> None:
        verdict = guard(np.ones_like(RAMP), refined, Guard())
        assert verdict.collapse is not None
        assert "coarse map is constant" in verdict.collapse
