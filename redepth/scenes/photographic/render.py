"""Make a picture of a stage: cast, cover, light, blur. Depth is that of the bodies, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter

from redepth.scenes.photographic.bodies import Body
from redepth.scenes.photographic.camera import Floats, View
from redepth.scenes.photographic.stage import Colour, Lamp, Lens, Material, Photograph, Sky, Stage
from redepth.scenes.photographic.textures import SIDE, Bank

Indices = npt.NDArray[np.int64]
_MOST_SHADOWS = 24
_STAIN_SIZE = 6.0
_SHADOW_STEP = 2
_SHADOW_OFFSET_M = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What the pixels that meet a body see; N of them, in reading order.

    Attributes:
        pixel_n: their index in the picture.
        depth_n: z-depth, metres.
        place_3n: world, metres.
        normal_3n: world, unit, towards the camera's side.
        u_n, v_n: of the coat, metres.
        material_n: what is worn there.
        facing_n: cosine between normal and ray, 0 to 1.
    """

    pixel_n: Indices
    depth_n: Floats
    place_3n: Floats
    normal_3n: Floats
    u_n: Floats
    v_n: Floats
    material_n: Indices
    facing_n: Floats


def render(stage: Stage, bank: Bank) -> Photograph:
    """Return the picture of a stage and its disparity, exact for every pixel's centre."""
    depth_hw, body_hw = cast(stage.bodies, stage.view)
    hits = _describe(stage, depth_hw, body_hw)
    colour_hw3 = _sky(stage.sky, stage.view, bank, np.isinf(depth_hw))
    flat_n3 = colour_hw3.reshape(-1, 3)
    seen_n3 = _lit(stage, hits, bank)
    haze_n1 = 1.0 - np.exp(-hits.depth_n / np.float32(stage.air.clear_m))[:, None]
    flat_n3[hits.pixel_n] = seen_n3 + haze_n1 * (_colour(stage.sky.horizon) - seen_n3)
    disparity_hw = (1.0 / depth_hw).astype(np.float32)
    colour_hw3 *= _creases(disparity_hw, stage.crease)[..., None]
    colour_hw3 = _defocus(colour_hw3, disparity_hw, stage.lens)
    return Photograph(_exposed(colour_hw3), disparity_hw)


def cast(bodies: Sequence[Body], view: View) -> tuple[Floats, Indices]:
    """Return z-depth in metres [H, W], infinite for the sky, and the body met (-1 for none)."""
    depth_hw = np.full(view.size_hw, np.inf, dtype=np.float32)
    body_hw = np.full(view.size_hw, -1, dtype=np.int64)
    start = view.place_3.reshape(3, 1, 1)
    for number, body in enumerate(bodies):
        window = view.window(body.frame.corners_83)
        rays = view.rays_3hw[(slice(None), *window)]
        if not rays.size:
            continue
        found = body.hit(start, rays)
        nearer = found < depth_hw[window]
        depth_hw[window][nearer] = found[nearer]
        body_hw[window][nearer] = number
    return depth_hw, body_hw


def _describe(stage: Stage, depth_hw: Floats, body_hw: Indices) -> Hits:
    owner_n = body_hw.ravel()
    order = np.argsort(owner_n, kind="stable")
    bounds = np.searchsorted(owner_n[order], np.arange(len(stage.bodies) + 1))
    pixel_n = order[bounds[0] :]
    depth_n = depth_hw.ravel()[pixel_n]
    ray_3n = stage.view.rays_3hw.reshape(3, -1)[:, pixel_n]
    place_3n = stage.view.place_3[:, None] + depth_n * ray_3n
    normal_3n = np.empty_like(place_3n)
    u_n, v_n = np.empty_like(depth_n), np.empty_like(depth_n)
    material_n = np.empty(len(pixel_n), dtype=np.int64)
    for body, first, stop in zip(stage.bodies, bounds[:-1], bounds[1:], strict=True):
        own = slice(first - bounds[0], stop - bounds[0])
        if first == stop:
            continue
        frame = body.frame
        surface = body.surface(frame.inside(place_3n[:, own] - frame.centre_3[:, None]))
        normal_3n[:, own] = frame.axes_33 @ surface.normal_3n
        u_n[own], v_n[own] = surface.u_n, surface.v_n
        material_n[own] = np.array(body.coats)[surface.face_n]
    towards_n = (normal_3n * ray_3n).sum(axis=0)
    normal_3n *= np.where(towards_n > 0.0, np.float32(-1.0), np.float32(1.0))
    facing_n = np.abs(towards_n) / np.sqrt((ray_3n * ray_3n).sum(axis=0))
    return Hits(pixel_n, depth_n, place_3n, normal_3n, u_n, v_n, material_n, facing_n)


def _column(materials: Sequence[Material], name: str) -> Floats:
    return np.array([getattr(material, name) for material in materials], dtype=np.float32)


def _lit(stage: Stage, hits: Hits, bank: Bank) -> Floats:
    """Return linear colours, float32 [N, 3]."""
    worn = hits.material_n
    size_n = _column(stage.materials, "size_m")[worn]
    offset_n = _column(stage.materials, "offset")[worn]
    texels_n: Floats = hits.depth_n / (stage.view.focal_px * size_n) * SIDE
    texels_n /= np.sqrt(hits.facing_n.clip(0.05))
    u_n: Floats = hits.u_n / size_n + offset_n
    v_n: Floats = -hits.v_n / size_n + offset_n
    tile_n = _column(stage.materials, "tile").astype(np.int64)[worn]
    stain_n = _column(stage.materials, "stain").astype(np.int64)[worn]
    tone_n1 = bank.sample(tile_n, u_n, v_n, texels_n)[:, None]
    dirt_n = bank.sample(stain_n, u_n / _STAIN_SIZE, v_n / _STAIN_SIZE, texels_n / _STAIN_SIZE)
    dark, light = (_column(stage.materials, name)[worn] for name in ("dark", "light"))
    albedo_n3 = dark + (light - dark) * tone_n1
    albedo_n3 *= (1.0 - _column(stage.materials, "stained")[worn] * dirt_n)[:, None]
    glow_n = _column(stage.materials, "glow")[worn]
    lit_n3: Floats = albedo_n3 * (_arriving(stage, hits) + glow_n[:, None])
    return lit_n3


def _arriving(stage: Stage, hits: Hits) -> Floats:
    """Return the light that arrives at each point, float32 [N, 3]."""
    lamp = stage.lamp
    towards_3n, reach_n = _towards(lamp, hits.place_3n)
    direct_n = (hits.normal_3n * towards_3n).sum(axis=0).clip(0.0) * reach_n * lamp.strength
    if lamp.shadow > 0.0:
        direct_n *= 1.0 - lamp.shadow * _shadows(stage, hits, towards_3n)
    ambient_n = lamp.ambient * (1.0 + lamp.sky_share * hits.normal_3n[1])
    arriving_n3: Floats = ambient_n[:, None] + direct_n[:, None] * _colour(lamp.colour)
    return arriving_n3


def _colour(colour: Colour) -> Floats:
    return np.array(colour, dtype=np.float32)


def _towards(lamp: Lamp, place_3n: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors to the lamp [3, N] and how much of its light is left there [N]."""
    towards = np.array(lamp.towards, dtype=np.float32)[:, None]
    if not lamp.is_near:
        return np.broadcast_to(towards, place_3n.shape), np.ones_like(place_3n[0])
    path_3n = towards - place_3n
    squared_n = (path_3n * path_3n).sum(axis=0)
    return path_3n / np.sqrt(squared_n + 1e-6), 4.0 / (1.0 + squared_n)


def _shadows(stage: Stage, hits: Hits, towards_3n: Floats) -> Floats:
    """Return how much of each point lies in shadow, 0 to 1: cast for every other pixel, spread."""
    height, width = stage.view.size_hw
    row_n, column_n = np.divmod(hits.pixel_n, width)
    asked = np.flatnonzero((row_n % _SHADOW_STEP == 0) & (column_n % _SHADOW_STEP == 0))
    start_3n = hits.place_3n[:, asked] + _SHADOW_OFFSET_M * hits.normal_3n[:, asked]
    along_3n = towards_3n[:, asked]
    if stage.lamp.is_near:
        along_3n = np.array(stage.lamp.towards, dtype=np.float32)[:, None] - start_3n
    casting = [body for body in stage.bodies if body.casts]
    casting.sort(key=lambda body: -float(np.sort(body.frame.half_3)[1:].prod()))
    dark_n = np.zeros(len(asked), dtype=bool)
    for body in casting[:_MOST_SHADOWS]:
        met = body.hit(start_3n, along_3n)
        dark_n |= met < (1.0 if stage.lamp.is_near else np.inf)
    shape = -(-height // _SHADOW_STEP), -(-width // _SHADOW_STEP)
    dark_hw = np.zeros(shape, dtype=np.float32)
    dark_hw[row_n[asked] // _SHADOW_STEP, column_n[asked] // _SHADOW_STEP] = dark_n
    soft_hw = np.repeat(np.repeat(gaussian_filter(dark_hw, 0.7), _SHADOW_STEP, 0), _SHADOW_STEP, 1)
    return np.asarray(soft_hw[:height, :width].ravel()[hits.pixel_n], dtype=np.float32)


def _sky(sky: Sky, view: View, bank: Bank, seen_hw: npt.NDArray[np.bool_]) -> Floats:
    """Return the sky, linear, float32 [H, W, 3], where it is seen; black elsewhere."""
    picture_hw3 = np.zeros((*view.size_hw, 3), dtype=np.float32)
    x, y, z = view.rays_3hw[:, seen_hw]
    height = y / np.sqrt(x * x + y * y + z * z)
    up = np.sqrt(np.maximum(height, 0.0))[:, None]
    colour = _colour(sky.horizon) * (1 - up) + _colour(sky.zenith) * up
    steep = 10.0 * np.maximum(height, 0.03)
    tile = np.full(len(x), sky.cloud_tile, dtype=np.int64)
    cloud = bank.sample(tile, x / steep, z / steep, np.full_like(x, 2.0))[:, None]
    white = np.float32(max(*sky.horizon, *sky.zenith))
    picture_hw3[seen_hw] = colour + sky.clouds * cloud * (white - colour)
    return picture_hw3


def _creases(disparity_hw: Floats, strength: float) -> Floats:
    """Return how light corners and contacts are: below the mean inverse depth around is dark.

    Only where depth changes little around: far behind a near thing, light gets in.
    """
    reach_px = disparity_hw.shape[1] / 50.0
    known_hw = disparity_hw + np.float32(1e-3)
    below_hw = np.maximum(gaussian_filter(known_hw, reach_px, truncate=2.0) / known_hw - 1.0, 0.0)
    highest_hw = maximum_filter(known_hw[::2, ::2], int(reach_px) * 2 + 1) / known_hw[::2, ::2]
    open_hw = np.maximum(1.0 - 2.0 * (highest_hw - 1.0), 0.0)
    near_hw = np.repeat(np.repeat(gaussian_filter(open_hw, 1.0), 2, 0), 2, 1)
    height, width = disparity_hw.shape
    dark_hw = np.minimum(below_hw * 8.0, 1.0) * near_hw[:height, :width] * (disparity_hw > 0.0)
    return np.asarray(1.0 - strength * dark_hw, dtype=np.float32)


def _defocus(colour_hw3: Floats, disparity_hw: Floats, lens: Lens) -> Floats:
    """Blur what is out of focus, by a mixture of a few blurs."""
    if lens.blur_px <= 0.0:
        return colour_hw3
    wanted_hw = np.abs(disparity_hw - 1.0 / lens.focus_m) * lens.blur_px
    wanted_hw = gaussian_filter(wanted_hw, 1.0).clip(0.0, 6.0)
    seen = colour_hw3
    for below, sigma in ((0.0, 1.0), (1.0, 2.5), (2.5, 6.0)):
        blurred = gaussian_filter(colour_hw3, (sigma, sigma, 0.0))
        share = ((wanted_hw - below) / (sigma - below)).clip(0.0, 1.0)[..., None]
        seen = seen + share * (blurred - seen)
    return seen


def _exposed(colour_hw3: Floats) -> npt.NDArray[np.uint8]:
    """Bring the picture to a middle brightness, compress highlights, encode with gamma 2.2."""
    middle = float(np.percentile(colour_hw3, 75)) + 1e-4
    bright = colour_hw3 * np.float32(0.45 / middle)
    bright = np.where(bright > 0.6, 0.6 + 0.4 * np.tanh((bright - 0.6) / 0.4), bright)
    return (255.0 * bright.clip(0.0, 1.0) ** np.float32(1 / 2.2)).round().astype(np.uint8)
