"""Shading of a flat wall, and the letterbox, worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from redepth.geometry.letterbox import letterbox, letterbox_box
from redepth.geometry.relighting import Light, light_direction, relight, to_linear, to_srgb


def one_light(x: float, y: float, exponent: float, diffuse: float) -> Light:
    return Light(
        light_direction(torch.tensor([[x, y]])),
        torch.tensor([exponent]),
        torch.tensor([diffuse]),
        torch.tensor([1.0 - diffuse]),
    )


def test_wall_lit_from_the_front_shows_the_photograph() -> None:
    image = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    lit = relight(torch.full((1, 6, 8), 3.0), image, one_light(0.0, 0.0, 4.0, 1.0))
    assert torch.allclose(lit, image, atol=1e-6)


def test_wall_under_an_oblique_light_follows_lamberts_cosine() -> None:
    light = one_light(1.0, 0.0, 4.0, 1.0)
    lit = relight(torch.full((1, 6, 8), 3.0), torch.full((1, 3, 6, 8), 0.5), light)
    assert torch.allclose(lit, torch.full_like(lit, 0.5 / 2**0.5), atol=1e-6)


def test_specular_lobe_of_a_wall() -> None:
    light = one_light(1.0, 0.0, 8.0, 0.0)
    lit = relight(torch.full((1, 6, 8), 3.0), torch.zeros(1, 3, 6, 8), light)
    half_cosine = ((1 + 1 / 2**0.5) / 2) ** 0.5  # cos of half the 45 degrees to the light
    assert torch.allclose(lit, torch.full_like(lit, half_cosine**8), atol=1e-6)


def test_never_below_the_floor() -> None:
    lit = relight(
        torch.full((1, 4, 4), 1.0), torch.zeros(1, 3, 4, 4), one_light(0.0, 0.0, 4.0, 1.0)
    )
    assert torch.allclose(lit, torch.full_like(lit, 1e-3))


def test_gamma_is_a_pure_power() -> None:
    values = torch.tensor([0.0, 0.02, 0.5, 1.0])
    assert torch.allclose(to_linear(values), values**2.2)
    assert torch.allclose(to_srgb(to_linear(values)), values, atol=1e-6)


@given(height=st.integers(14, 700), width=st.integers(14, 700))
def test_box_fills_one_side_and_stays_inside(height: int, width: int) -> None:
    box = letterbox_box(height, width, 512)
    assert max(box.height_px, box.width_px) == 512
    assert box.top_px >= 0 and box.left_px >= 0
    assert box.top_px * 2 + box.height_px in (511, 512)
    assert box.left_px * 2 + box.width_px in (511, 512)


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (33, 33)])
def test_letterbox_keeps_a_constant_picture_and_blackens_the_rest(shape: tuple[int, int]) -> None:
    framed = letterbox(torch.ones(1, 3, *shape), 64)
    box = letterbox_box(*shape, 64)
    rows = slice(box.top_px, box.top_px + box.height_px)
    columns = slice(box.left_px, box.left_px + box.width_px)
    assert framed.shape == (1, 3, 64, 64)
    assert torch.allclose(framed[:, :, rows, columns], torch.ones(()))
    assert framed.sum().item() == pytest.approx(3 * box.height_px * box.width_px)
