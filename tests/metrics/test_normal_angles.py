"""Angles between planes whose tilt is known."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.metrics.normals import mean_normal_angle_deg, surface_normals

MASK = np.ones((9, 9), dtype=bool)


def plane(slope_u: float, slope_v: float = 0.0) -> np.ndarray:
    u, v = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(1, -1, 9))
    return np.stack((u, v, 2.0 + slope_u * u + slope_v * v), axis=-1)


def test_a_surface_agrees_with_itself_exactly() -> None:
    assert mean_normal_angle_deg(plane(0.7, -0.2), plane(0.7, -0.2), MASK) == 0.0


@pytest.mark.parametrize("degrees", [0.001, 1.0, 30.0, 45.0, 80.0])
def test_a_tilted_plane_leans_by_its_tilt(degrees: float) -> None:
    tilted = plane(float(np.tan(np.radians(degrees))))
    assert mean_normal_angle_deg(tilted, plane(0.0), MASK) == pytest.approx(degrees, rel=1e-9)


def test_only_the_mask_counts() -> None:
    bent = plane(0.0)
    bent[:, 6:, 2] += np.array([1.0, 2.0, 3.0])
    left = MASK.copy()
    left[:, 5:] = False
    assert mean_normal_angle_deg(bent, plane(0.0), left) == 0.0
    assert mean_normal_angle_deg(bent, plane(0.0), MASK) > 10.0


def test_normals_have_unit_length() -> None:
    assert np.linalg.norm(surface_normals(plane(3.0, 1.0)), axis=-1) == pytest.approx(1.0)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        mean_normal_angle_deg(plane(0.0), plane(0.0), ~MASK)
