"""Normals of surfaces whose normals are known."""

from __future__ import annotations

import math

import pytest
import torch

from redepth.geometry.normals import orthographic_normals


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return u [1, H, W] to the right and v [1, H, W] upwards, as the method has them."""
    u = torch.linspace(-width / height, width / height, width, dtype=torch.float64)
    v = torch.linspace(1.0, -1.0, height, dtype=torch.float64)
    u_hw, v_hw = torch.meshgrid(u, v, indexing="xy")
    return u_hw[None], v_hw[None]


@pytest.mark.parametrize("size", [(8, 8), (9, 15)])
@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.5, 0.0), (0.0, -0.7), (0.3, 0.4)])
def test_plane(size: tuple[int, int], slope: tuple[float, float]) -> None:
    u, v = grid(*size)
    normal = orthographic_normals(5.0 + slope[0] * u + slope[1] * v)
    expected = torch.tensor([-slope[0], -slope[1], 1.0], dtype=torch.float64)
    expected = expected / math.hypot(slope[0], slope[1], 1.0)
    assert torch.allclose(normal, expected[None, :, None, None].expand_as(normal), atol=1e-6)


def test_sphere() -> None:
    u, v = grid(101, 101)
    inside = u**2 + v**2 < 0.5
    height = torch.sqrt(torch.where(inside, 1.0 - u**2 - v**2, torch.ones_like(u)))
    normal = orthographic_normals(height)
    core = (u**2 + v**2 < 0.4).expand_as(inside)[0]
    expected = torch.stack((u[0], v[0], height[0]))
    assert (normal[0] - expected)[:, core].abs().max() < 2e-3


def test_unit_length() -> None:
    depth = torch.rand(2, 7, 9, generator=torch.Generator().manual_seed(0)) + 1.0
    length = torch.linalg.vector_norm(orthographic_normals(depth), dim=1)
    assert torch.allclose(length, torch.ones_like(length), atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 0.0])
def test_bad_pixel_faces_away_and_gives_no_gradient(bad: float) -> None:
    depth = torch.full((1, 5, 5), 2.0)
    depth[0, 2, 2] = bad
    depth.requires_grad_()
    normal = orthographic_normals(depth)
    assert normal[0, :, 2, 2].tolist() == [0.0, 0.0, -1.0]
    neighbours = [normal[0, :, 1, 2], normal[0, :, 3, 2], normal[0, :, 2, 1], normal[0, :, 2, 3]]
    faces_away = [n.tolist() == [0.0, 0.0, -1.0] for n in neighbours]
    assert faces_away == [not math.isfinite(bad)] * 4
    normal.sum().backward()
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()
