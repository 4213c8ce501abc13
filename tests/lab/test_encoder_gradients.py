"""Gradients through two encoders: the same encoder agrees with itself, another one does not."""

from __future__ import annotations

import pytest
import torch

from benchmarks.tiny_encoder import table
from redepth.coarse.estimator import TokenDepthEstimator, load_token_estimator
from redepth.coarse.part import Coarse
from redepth.lab.encoder_gradients import TIMESTEP_SHARES, GradientBench, Likeness
from redepth.refiners.redepth_anything import Prior, ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.settings import Compute, Weights

CPU = torch.device("cpu")
OWN = Prior(preset="mini")
UNTRAINED = Prior(preset="mini", encoder="mini-tiny", encoder_weights=Weights(seed=0))


@pytest.fixture(scope="module")
def estimator() -> TokenDepthEstimator:
    return load_token_estimator(Coarse(preset="mini", size_px=64), CPU)


def likenesses(estimator: TokenDepthEstimator, other: Prior) -> list[Likeness]:
    full, second = (load_prior(settings, Compute(), CPU) for settings in (OWN, other))
    bench = GradientBench(ReDepthAnything(prior=OWN), estimator, full, second)
    return list(bench.measure(render_scene("faces", 0, 64, Split.TUNING)))


def test_an_encoder_agrees_with_itself(estimator: TokenDepthEstimator) -> None:
    found = likenesses(estimator, OWN)
    assert [one.timestep_share for one in found] == list(TIMESTEP_SHARES)
    for one in found:
        assert (one.same_latents, one.whole, one.length) == pytest.approx((1, 1, 1), abs=1e-4)
        assert one.other_noise < 0.999
    assert likenesses(estimator, OWN) == found


def test_an_untrained_encoder_does_not_agree(estimator: TokenDepthEstimator) -> None:
    found = likenesses(estimator, UNTRAINED)
    assert max(abs(one.whole) for one in found) < 0.5


def test_the_table_has_a_row_a_timestep_and_one_for_all() -> None:
    found = [Likeness(t, 0.9, 0.8, 1.0, 0.99, t) for t in TIMESTEP_SHARES]
    rows = table(found).splitlines()[2:]
    assert len(rows) == len(TIMESTEP_SHARES) + 1
    assert rows[-1] == "| all | 0.900 | 0.800 | 1.000 | 0.990 | 0.300 | 0.800 |"
