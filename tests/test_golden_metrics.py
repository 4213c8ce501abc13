"""Agreement with the metrics of SharpDepth's released evaluation (tests/golden/README.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redepth.metrics.boundaries import boundary_metrics, depth_or_disparity_edges
from redepth.metrics.depth import depth_metrics


@pytest.fixture(scope="module")
def recorded() -> Callable[[str], np.ndarray]:
    archive = np.load(Path(__file__).parent / "golden" / "sharpdepth_metrics.npz")
    return lambda key: archive[f"metrics/{key}"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("abs_rel", "abs_relative_difference"),
        ("sq_rel", "squared_relative_difference"),
        ("rmse", "rmse_linear"),
        ("rmse_log", "rmse_log"),
        ("silog", "silog_rmse"),
        ("log10", "log10"),
        ("delta1", "delta1_acc"),
        ("delta2", "delta2_acc"),
        ("delta3", "delta3_acc"),
    ],
)
def test_depth_metrics(recorded: Callable[[str], np.ndarray], ours: str, theirs: str) -> None:
    found = depth_metrics(recorded("pred"), recorded("gt"), recorded("valid"))
    assert getattr(found, ours) == pytest.approx(recorded(f"m_{theirs}").item(), rel=1e-5)


def test_depth_boundary_errors(recorded: Callable[[str], np.ndarray]) -> None:
    predicted, true = (depth_or_disparity_edges(recorded(name)) for name in ("pred", "gt"))
    found = boundary_metrics(predicted, true)
    assert found.near_accuracy_px == pytest.approx(recorded("m_dbe_acc").item(), rel=1e-12)
    assert found.completeness_px == pytest.approx(recorded("m_dbe_compl").item(), rel=1e-12)
    assert found.accuracy_px > found.near_accuracy_px


def test_depth_boundary_errors_of_a_flat_map(recorded: Callable[[str], np.ndarray]) -> None:
    flat, true = (depth_or_disparity_edges(recorded(name)) for name in ("pred_flat", "gt"))
    found = boundary_metrics(flat, true)
    assert found.near_accuracy_px == recorded("m_dbe_acc_flatpred").item()
    assert found.completeness_px == recorded("m_dbe_compl_flatpred").item()
