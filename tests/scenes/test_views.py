"""A stage seen by several cameras: what one of them sees, the others see in the same place."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.scenes.views import render_views

SIZE_PX = 48


def test_the_view_that_is_not_turned_is_the_scene() -> None:
    (view,) = render_views("solids", 3, SIZE_PX, Split.TUNING, (0.0,))
    scene = render_scene("solids", 3, SIZE_PX, Split.TUNING)
    np.testing.assert_array_equal(view.scene.depth_hw, scene.depth_hw)
    np.testing.assert_array_equal(view.scene.rgb_hw3, scene.rgb_hw3)


def test_points_of_one_view_lie_on_the_surfaces_of_another() -> None:
    one, other = render_views("solids", 3, SIZE_PX, Split.TUNING, (-8.0, 8.0))
    assert one.scene.camera is not None
    points_n3 = one.scene.camera.unproject(one.scene.depth_hw).reshape(-1, 3)
    world_n3 = (points_n3 - one.translation_3) @ one.rotation_33
    seen_n3 = world_n3 @ other.rotation_33.T + other.translation_3
    columns, rows = np.rint(one.scene.camera.project(seen_n3)).astype(int)
    inside = (columns >= 0) & (columns < SIZE_PX) & (rows >= 0) & (rows < SIZE_PX)
    depth_n = other.scene.depth_hw[rows[inside], columns[inside]]
    errors_n = np.abs(depth_n / seen_n3[inside, 2] - 1)
    assert inside.mean() > 0.7
    assert (errors_n < 0.03).mean() > 0.85, "the rest is hidden from the other"


def test_a_relief_has_no_other_side() -> None:
    with pytest.raises(ConfigError, match="coins is a relief"):
        render_views("coins", 0, SIZE_PX, Split.TUNING, (0.0,))
