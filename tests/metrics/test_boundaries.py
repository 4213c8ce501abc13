"""Depth edges that are moved by a known number of pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.metrics.boundaries import (
    FARTHEST_PX,
    boundary_metrics,
    depth_edges,
    depth_or_disparity_edges,
)


def step(column: int) -> np.ndarray:
    depth = np.ones((48, 48))
    depth[:, column:] = 3.0
    return depth


def line(column: int) -> np.ndarray:
    edges = np.zeros((48, 48), dtype=bool)
    edges[:, column] = True
    return edges


def test_a_step_is_one_line_of_edges_and_a_ramp_is_none() -> None:
    edges = depth_edges(step(24))
    assert set(np.flatnonzero(edges.any(axis=0))) <= {23, 24}
    assert edges.any(axis=1).sum() >= 44
    assert not depth_edges(np.tile(np.linspace(1, 2, 48), (48, 1))).any()
    assert not depth_edges(np.full((48, 48), 2.0)).any()


def test_edges_do_not_depend_on_scale_and_shift() -> None:
    assert np.array_equal(depth_edges(step(20)), depth_edges(7.0 * step(20) + 3.0))


@pytest.mark.parametrize(("moved", "found"), [(0, 1.0), (1, 1.0), (2, 0.0), (6, 0.0)])
def test_a_moved_line_is_as_far_away_as_it_was_moved(moved: int, found: float) -> None:
    metrics = boundary_metrics(line(20 + moved), line(20))
    assert metrics.accuracy_px == metrics.completeness_px == moved
    assert metrics.precision == metrics.recall == metrics.f1 == found


def test_distances_are_cut_off() -> None:
    assert boundary_metrics(line(45), line(5)).accuracy_px == FARTHEST_PX


def test_a_missing_line_costs_recall_and_an_extra_one_precision() -> None:
    both = line(10) | line(40)
    missing, extra = boundary_metrics(line(10), both), boundary_metrics(both, line(10))
    assert (missing.precision, missing.recall) == (1.0, 0.5)
    assert (extra.precision, extra.recall) == (0.5, 1.0)
    assert missing.f1 == extra.f1 == pytest.approx(2 / 3)
    assert (missing.accuracy_px, missing.completeness_px) == (0.0, FARTHEST_PX / 2)


def test_nothing_predicted_finds_nothing() -> None:
    metrics = boundary_metrics(np.zeros((48, 48), dtype=bool), line(5))
    assert (metrics.recall, metrics.f1, metrics.completeness_px) == (0.0, 0.0, FARTHEST_PX)
    assert math.isnan(metrics.accuracy_px)


def test_without_true_edges_there_is_nothing_to_measure() -> None:
    metrics = boundary_metrics(line(5), np.zeros((48, 48), dtype=bool))
    assert math.isnan(metrics.f1)
    assert math.isnan(metrics.completeness_px)


def test_the_near_accuracy_does_not_count_edges_far_from_any_true_one() -> None:
    metrics = boundary_metrics(line(8) | line(40), line(5))
    assert metrics.near_accuracy_px == 3.0
    assert metrics.accuracy_px == (3.0 + FARTHEST_PX) / 2
    assert boundary_metrics(line(40), line(5)).near_accuracy_px == FARTHEST_PX


def test_disparity_shows_the_edges_of_what_is_near() -> None:
    depth = np.full((48, 96), 100.0)
    depth[:, :48] = 4.0
    depth[:, :24] = 2.0
    assert not depth_edges(depth)[:, 20:28].any()
    assert depth_or_disparity_edges(depth)[:, 20:28].any()
    assert depth_or_disparity_edges(depth)[:, 44:52].any()
