"""Scenes of every family: repeatable, apart by seed and split, true in depth, normals and words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from redepth.errors import ConfigError
from redepth.geometry.normals import orthographic_normals
from redepth.scenes.families import FAMILIES, families, render_batch, render_scene
from redepth.scenes.fields import draw_noise, grid
from redepth.scenes.lights import light_words
from redepth.scenes.reliefs import MAX_RMS_SLOPE, MIN_RMS_SLOPE, normals_of, slope_of
from redepth.scenes.scene import Scene, SceneKind, Split

RELIEFS = [name for name, family in FAMILIES.items() if family.kind is SceneKind.RELIEF]
OBJECTS = [name for name, family in FAMILIES.items() if family.kind is SceneKind.OBJECTS]
ARRAYS = ("rgb_hw3", "depth_hw", "normal_hw3", "mask_hw", "albedo_hw3")


def same(left: Scene, right: Scene) -> bool:
    arrays = all(np.array_equal(getattr(left, n), getattr(right, n)) for n in ARRAYS)
    return arrays and left.caption == right.caption and left.id == right.id


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_is_whole(family: str) -> None:
    scene = render_scene(family, 1, 40, Split.TRAIN)
    assert scene.rgb_hw3.shape == (40, 40, 3) and scene.rgb_hw3.dtype == np.uint8
    assert scene.depth_hw.dtype == scene.normal_hw3.dtype == scene.albedo_hw3.dtype == np.float32
    assert np.isfinite(scene.depth_hw).all() and scene.depth_hw.min() > 0
    assert np.allclose(np.linalg.norm(scene.normal_hw3, axis=-1), 1.0, atol=1e-5)
    assert scene.albedo_hw3.min() >= 0.0 and scene.albedo_hw3.max() <= 1.0
    assert scene.mask_hw.any()
    assert scene.id == f"{family}-train-000001"
    assert (scene.camera is not None) == (scene.kind is SceneKind.OBJECTS)
    assert scene.rgb_hw3.std() > 3, "an empty picture"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_its_single_scenes_bit_for_bit(family: str) -> None:
    batch = render_batch(family, (7, 3, 9), 32, Split.TRAIN)
    assert all(same(scene, render_scene(family, scene.seed, 32, Split.TRAIN)) for scene in batch)
    assert [scene.seed for scene in batch] == [7, 3, 9]


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_and_splits_give_other_scenes(family: str) -> None:
    scenes = [render_scene(family, seed, 32, split) for split in Split for seed in range(3)]
    depths = {scene.depth_hw.tobytes() for scene in scenes}
    assert len(depths) == len(scenes) == len({scene.id for scene in scenes})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_one_scene_at_any_size(family: str) -> None:
    """At shared pixel centres: every other of 33 and 65 in a relief, the middle of 3 x 3 else."""
    is_relief = FAMILIES[family].kind is SceneKind.RELIEF
    sizes = (33, 65) if is_relief else (21, 63)
    small, large = (render_scene(family, 2, size, Split.TRAIN) for size in sizes)
    shared = large.depth_hw[::2, ::2] if is_relief else large.depth_hw[1::3, 1::3]
    assert small.caption == large.caption
    assert np.allclose(small.depth_hw, shared, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_caption_names_the_quadrant_of_the_light(family: str) -> None:
    for scene in render_batch(family, range(12), 16, Split.HELD_OUT):
        assert scene.caption.endswith(f", {light_words(np.array(scene.light_direction))}")
        left, down, _ = scene.light_direction
        words = scene.caption.rsplit(", ", 1)[1]
        if "upper" in words or "above" in words:
            assert down < 0
        if "lower" in words or "below" in words:
            assert down > 0
        if "left" in words:
            assert left > 0
        if "right" in words:
            assert left < 0


@pytest.mark.parametrize("family", RELIEFS)
def test_slope_and_depth_of_reliefs_are_in_range(family: str) -> None:
    for scene in render_batch(family, range(8), 64, Split.TRAIN):
        slope = slope_of(scene.depth_hw.astype(float))
        assert MIN_RMS_SLOPE - 1e-3 <= slope <= MAX_RMS_SLOPE + 1e-3
        assert 1.0 < scene.depth_hw.min() < scene.depth_hw.max() < 3.0
        assert scene.depth_hw.mean() == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize("family", RELIEFS)
def test_normals_of_reliefs_are_the_methods_own(family: str) -> None:
    scene = render_scene(family, 4, 50, Split.TRAIN)
    expected = orthographic_normals(torch.from_numpy(scene.depth_hw)[None])[0].permute(1, 2, 0)
    assert np.allclose(scene.normal_hw3, expected.numpy(), atol=2e-5)


def test_normals_of_a_known_relief() -> None:
    place = grid(129)
    depth_hw = 2.0 + 0.2 * np.sin(3.0 * place.u_hw) + 0.1 * place.v_hw**2
    gradient = np.stack((0.6 * np.cos(3.0 * place.u_hw), 0.2 * place.v_hw), axis=-1)
    expected = np.concatenate((-gradient, np.ones((129, 129, 1))), axis=-1)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    # 129 pixel centres span u and v from -1 to 1.
    assert np.allclose(normals_of(depth_hw)[1:-1, 1:-1], expected[1:-1, 1:-1], atol=2e-3)


@pytest.mark.parametrize("family", OBJECTS)
def test_depth_of_objects_projects_back_onto_flat_floor_and_wall(family: str) -> None:
    """Their points lie on two planes with the stored normals: that fixes the intrinsics."""
    scene = render_scene(family, 6, 64, Split.TRAIN)
    assert scene.camera is not None
    columns, rows = np.meshgrid(np.arange(64.0), np.arange(64.0))
    points = scene.camera.rays(columns, rows) * scene.depth_hw[..., None]
    normals = scene.normal_hw3 * np.array([-1.0, 1.0, -1.0])
    offsets = (points * normals).sum(-1)[~scene.mask_hw]
    planes = np.unique(np.round(normals[~scene.mask_hw], 3), axis=0)
    assert len(planes) <= 2
    for plane in planes:
        on_plane = np.abs(normals[~scene.mask_hw] - plane).max(axis=-1) < 2e-3
        assert np.ptp(offsets[on_plane]) < 1e-4


@pytest.mark.parametrize("family", OBJECTS)
def test_objects_face_the_camera_and_stand_before_the_wall(family: str) -> None:
    for scene in render_batch(family, range(4), 32, Split.TUNING):
        assert scene.depth_hw.min() > 0.3 and scene.depth_hw.max() < 12.0
        assert 0.02 < scene.mask_hw.mean() < 0.9


def test_in_and_out_of_distribution_share_no_family() -> None:
    inside = families(kind=SceneKind.RELIEF, in_distribution=True)
    outside = families(kind=SceneKind.RELIEF, in_distribution=False)
    assert inside == ("lumps", "gaussians", "saddles", "swells", "pebbles")
    assert outside == ("faces", "coins", "dunes", "cloth", "leaves")


def test_noise_has_unit_variance_and_no_size() -> None:
    rng = np.random.default_rng(0)
    noise = draw_noise(rng, 40)
    assert noise.on(grid(128)).std() == pytest.approx(1.0, abs=0.1)
    assert np.allclose(noise.on(grid(33)), noise.on(grid(65))[::2, ::2])


@pytest.mark.parametrize(
    ("family", "seed", "size_px", "word"),
    [("cats", 0, 64, "coins"), ("coins", -1, 64, "seed"), ("coins", 0, 8, "size_px")],
)
def test_what_cannot_be_rendered_is_refused(
    family: str, seed: int, size_px: int, word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        render_scene(family, seed, size_px, Split.TRAIN)
