"""Surface normals of an orthographic render depth."""

from __future__ import annotations

import torch
from torch import Tensor

NORMAL_EPSILON = 1e-8


def orthographic_normals(depth_bhw: Tensor) -> Tensor:
    """Return unit normals of the surface (u, v, z) by central differences.

    u runs from -W/H to W/H to the right, v from 1 to -1 downwards, n = (gy x gx) / (|gy x gx| +
    1e-8); differences are one-sided at the border. A surface facing the viewer has n = (0, 0, 1).

    Args:
        depth_bhw: float [B, H, W], render depth; H, W >= 2.

    Returns:
        float [B, 3, H, W], differentiable in the depth. A pixel whose depth is not positive, and
        one whose own or neighbouring depth is not finite, gets (0, 0, -1) and no gradient.

    Source: Re-Depth Anything, orthographic re-lighting. Differs from the authors' release only
    beside non-finite pixels, where theirs yields NaN.
    """
    finite = torch.isfinite(depth_bhw)
    safe_bhw = torch.where(finite, depth_bhw, torch.zeros_like(depth_bhw))
    gradient_y, gradient_x = torch.gradient(_points(safe_bhw), dim=(1, 2))
    normal = torch.linalg.cross(gradient_y, gradient_x, dim=-1)
    normal = normal / (torch.linalg.vector_norm(normal, dim=-1, keepdim=True) + NORMAL_EPSILON)
    valid = _with_neighbours(finite) & (safe_bhw > 0)
    away = normal.new_zeros(3)
    away[2].fill_(-1.0)  # a tensor made of numbers would be copied to the device, and waited for
    return torch.where(valid.unsqueeze(-1), normal, away).permute(0, 3, 1, 2)


def _points(depth_bhw: Tensor) -> Tensor:
    """Return the points (u, v, z), [B, H, W, 3]."""
    _, height, width = depth_bhw.shape
    aspect, dtype, device = width / height, depth_bhw.dtype, depth_bhw.device
    u = torch.linspace(-aspect, aspect, width, dtype=dtype, device=device)
    v = torch.linspace(1.0, -1.0, height, dtype=dtype, device=device)
    u_hw, v_hw = torch.meshgrid(u, v, indexing="xy")
    plane_hw2 = torch.stack((u_hw, v_hw), dim=-1)
    plane = plane_hw2.expand(depth_bhw.shape[0], height, width, 2)
    return torch.cat((plane, depth_bhw.unsqueeze(-1)), dim=-1)


def _with_neighbours(finite_bhw: Tensor) -> Tensor:
    """Keep the pixels whose 4 neighbours (those the differences use) are finite as well."""
    kept = finite_bhw.clone()
    kept[:, 1:] &= finite_bhw[:, :-1]
    kept[:, :-1] &= finite_bhw[:, 1:]
    kept[:, :, 1:] &= finite_bhw[:, :, :-1]
    kept[:, :, :-1] &= finite_bhw[:, :, 1:]
    return kept
