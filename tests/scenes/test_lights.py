"""Where lights stand in words, and that pictures are what the light model says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from redepth.geometry.relighting import Light, relight, to_srgb
from redepth.scenes.families import FAMILIES, render_scene
from redepth.scenes.fields import grid
from redepth.scenes.lights import encode, light_from, light_words, shade
from redepth.scenes.reliefs import normals_of
from redepth.scenes.scene import Lighting, SceneKind, Split

RELIEFS = [name for name, family in FAMILIES.items() if family.kind is SceneKind.RELIEF]


@pytest.mark.parametrize(
    ("azimuth_deg", "words"),
    [
        (0, "the right"), (45, "the upper right"), (90, "above"), (135, "the upper left"),
        (180, "the left"), (225, "the lower left"), (270, "below"), (315, "the lower right"),
        (359, "the right"), (68, "above"), (67, "the upper right"),
    ],
)  # fmt: skip
def test_words_name_the_side(azimuth_deg: float, words: str) -> None:
    assert light_words(light_from(azimuth_deg, 40.0)) == f"light from {words}"
    assert light_words(light_from(azimuth_deg, 10.0)) == "light from the front"


@pytest.mark.parametrize("azimuth_deg", [0.0, 90.0, 135.0, 225.0])
def test_a_bump_is_bright_on_the_side_of_its_light(azimuth_deg: float) -> None:
    """What ties words, light and depth together: the eye's up and right, not a formula's."""
    place = grid(65)
    depth_hw = 2.0 - 0.3 * np.exp(-4.0 * (place.u_hw**2 + place.v_hw**2))  # nearer in the middle
    light = Lighting(light_from(azimuth_deg, 45.0)[None], np.ones(1), 0.0, 0.0, 1.0)
    bright_hw = shade(np.ones((65, 65, 3)), normals_of(depth_hw), light)[..., 0]
    row, column = np.unravel_index(bright_hw.argmax(), bright_hw.shape)
    toward = np.array([column - 32, 32 - row]) / np.hypot(column - 32, 32 - row)
    expected = np.cos(np.radians([azimuth_deg, azimuth_deg - 90.0]))
    assert toward @ expected > 0.99


@pytest.mark.parametrize("family", RELIEFS)
def test_picture_is_what_the_light_model_says(family: str) -> None:
    """The formula, written out here once more, gives the picture's bytes."""
    scene = render_scene(family, 5, 48, Split.TUNING)
    light, lighting = np.array(scene.light_direction), scene.lighting
    half = light + np.array([0.0, 0.0, 1.0])
    half /= np.linalg.norm(half)
    lambert = np.maximum(scene.normal_hw3 @ light, 0.0)[..., None]
    lobe = np.maximum(scene.normal_hw3 @ half, 0.0)[..., None] ** lighting.shininess
    kd, ks = lighting.diffuse_l[0], lighting.specular * lighting.diffuse_l[0]
    linear = scene.albedo_hw3 * (lighting.ambient + kd * lambert) + ks * lobe
    expected = np.round(np.clip(linear, 0, 1) ** (1 / 2.2) * 255)
    assert np.abs(expected - scene.rgb_hw3).max() <= 1


def test_relighting_a_scene_with_its_light_gives_its_picture() -> None:
    """Depth, light and albedo of a scene mean in `geometry.relighting` what they mean here."""
    scene = render_scene("faces", 3, 64, Split.TRAIN)
    lit = relight(
        torch.from_numpy(scene.depth_hw)[None],
        torch.from_numpy(scene.albedo_hw3).permute(2, 0, 1)[None],
        Light(
            torch.tensor([scene.light_direction], dtype=torch.float32),
            torch.ones(1), torch.ones(1), torch.zeros(1),
        ),
    )  # fmt: skip
    ours = shade(
        scene.albedo_hw3.astype(float),
        scene.normal_hw3.astype(float),
        Lighting(np.array([scene.light_direction]), np.ones(1), 0.0, 0.0, 1.0),
    )
    theirs = to_srgb(lit)[0].permute(1, 2, 0).numpy() * 255
    dark = 0.001 ** (1 / 2.2) * 255 + 1  # their floor
    assert np.abs(theirs - np.maximum(encode(ours), np.floor(dark))).max() < 2


def test_two_lights_add_up_and_shadows_take_the_key_away() -> None:
    albedo, normals = np.full((2, 3), 0.5), np.array([[0.0, 0.0, 1.0]] * 2)
    directions = np.stack((light_from(0.0, 60.0), light_from(0.0, 0.0)))
    lights = Lighting(directions, np.array([0.4, 0.2]), 0.1, 0.0, 4.0)
    linear = shade(albedo, normals, lights, key_visible_hw=np.array([True, False]))
    assert np.allclose(linear[0], 0.5 * (0.1 + 0.4 * 0.5 + 0.2))
    assert np.allclose(linear[1], 0.5 * (0.1 + 0.2))


def test_encoding_clamps_and_rounds() -> None:
    linear = np.array([[-1.0, 0.0, 1.0], [2.0, 0.5, (100.4 / 255) ** 2.2]])
    assert encode(linear).tolist() == [[0, 0, 255], [255, round(0.5 ** (1 / 2.2) * 255), 100]]
