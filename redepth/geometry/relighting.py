"""Re-lighting: the photograph as albedo, the predicted shape under one random light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from redepth.geometry.normals import orthographic_normals


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One light a batch entry.

    Attributes:
        direction_b3: float [B, 3], unit vectors towards the light, z > 0 (in front of the scene).
        shininess_b: float [B], the exponent a of the specular lobe.
        diffuse_b: float [B], kd in [0, 1].
        specular_b: float [B], ks = 1 - kd.
    """

    direction_b3: Tensor
    shininess_b: Tensor
    diffuse_b: Tensor
    specular_b: Tensor


def light_direction(xy_b2: Tensor) -> Tensor:
    """Return the unit vectors (lx, ly, 1) / norm, [B, 3], of raw draws [B, 2]."""
    return normalize(torch.cat((xy_b2, torch.ones_like(xy_b2[:, :1])), dim=1), dim=1)


def to_linear(srgb: Tensor, gamma: float = 2.2) -> Tensor:
    """Return srgb ** gamma: the method's pure power, not the piecewise sRGB curve. Range [0, 1]."""
    return torch.pow(srgb, gamma)


def to_srgb(linear: Tensor, gamma: float = 2.2) -> Tensor:
    """Return linear ** (1 / gamma), clamped to [0, 1]."""
    return torch.pow(linear, 1.0 / gamma).clamp(0.0, 1.0)


def relight(depth_bhw: Tensor, linear_b3hw: Tensor, light: Light, floor: float = 1e-3) -> Tensor:
    """Shade the linear photograph by the surface's normals under `light`.

    kd * max(n.l, 0) * image + ks * max(n.h, 0)^a with h = (l + v) / |l + v|, v = (0, 0, 1), clamped
    to [floor, 1].

    Args:
        depth_bhw: float [B, H, W], render depth.
        linear_b3hw: float [B or 1, 3, H, W] in [0, 1], linear light.

    Returns:
        float [B, 3, H, W] in [floor, 1], linear light, differentiable in the depth.

    Source: Re-Depth Anything, Blinn-Phong re-lighting.
    """
    normal_b3hw = orthographic_normals(depth_bhw)
    x_b, y_b, z_b = light.direction_b3.unbind(dim=1)
    half_b3 = normalize(torch.stack((x_b, y_b, z_b + 1.0), dim=1), dim=1)
    lambert_b1hw = _facing(normal_b3hw, light.direction_b3)
    lobe_b1hw = _facing(normal_b3hw, half_b3) ** _per_entry(light.shininess_b)
    shaded_b3hw = _per_entry(light.diffuse_b) * lambert_b1hw * linear_b3hw
    shaded_b3hw = shaded_b3hw + _per_entry(light.specular_b) * lobe_b1hw
    return shaded_b3hw.clamp(floor, 1.0)


def _facing(normal_b3hw: Tensor, direction_b3: Tensor) -> Tensor:
    """Return max(n . d, 0), [B, 1, H, W]."""
    cosine = (normal_b3hw * direction_b3[:, :, None, None]).sum(dim=1, keepdim=True)
    return cosine.clamp(min=0.0)


def _per_entry(value_b: Tensor) -> Tensor:
    return value_b[:, None, None, None]
