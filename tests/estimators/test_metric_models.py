"""Coarse models that speak in metres: real classes of transformers at toy size, from folders."""

from __future__ import annotations

import pytest
import torch

from redepth.estimators.mini import METRIC_MAX_DEPTH_M, build_mini_metric


@pytest.mark.parametrize("seed", range(3))
def test_the_untrained_metric_mini_varies_within_its_range(seed: int) -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        depth = build_mini_metric(seed)(noise).predicted_depth
    assert 0 < depth.min() < depth.max() < METRIC_MAX_DEPTH_M
    assert depth.std() > 0.1


def test_making_the_metric_mini_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_mini_metric(seed=1)
    assert torch.equal(torch.rand(3), expected)
