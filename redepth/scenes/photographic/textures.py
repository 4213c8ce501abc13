"""Tiles that surfaces are covered with: noise, patterns, and pictures that scikit-image carries.

All have one channel in [0, 1]; a material chooses colours for 0 and 1. Of scikit-image's own files
those are used that its documentation states as CC0 or public domain: brick, grass and gravel
(CC0Textures), camera (CC0, Lav Varshney), cell (CC0), immunohistochemistry (CC0, Stefan van der
Walt), hubble_deep_field (NASA, public domain), clock_motion (public domain, Stefan van der Walt).
Those that the demo shows are not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.scenes.draws import chance, uniform
from redepth.scenes.photographic.camera import Floats

SIDE = 128
NUM_LEVELS = 8
CARRIED = (
    "brick.png", "grass.png", "gravel.png", "camera.png", "cell.png", "ihc.png",
    "hubble_deep_field.jpg", "clock_motion.png",
)  # fmt: skip
KINDS = (
    "clouds", "blots", "grain", "stripes", "checks", "planks", "bricks", "windows", "books",
    "screen", "collage", "speckle", "lines", "carried",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Tiles with their smaller levels, in one row of numbers.

    Attributes:
        values_n: float32, level by level.
        starts: of each level.
        kinds: kind -> (first, stop) of its tiles.
    """

    values_n: Floats
    starts: npt.NDArray[np.int32]
    kinds: dict[str, tuple[int, int]]

    def sample(
        self, tile_n: npt.NDArray[np.int64], u_n: Floats, v_n: Floats, texels_n: Floats
    ) -> Floats:
        """Return the tiles' values between their texels.

        Args:
            tile_n: which tile.
            u_n, v_n: place in tiles; whole numbers repeat.
            texels_n: how many texels one pixel covers: decides the level.
        """
        level_n = np.minimum(np.log2(np.maximum(texels_n, 1.0)) + 0.5, NUM_LEVELS - 1)
        level_n = level_n.astype(np.int32)
        side_n = np.right_shift(np.int32(SIDE), level_n)
        start_n = self.starts[level_n] + tile_n.astype(np.int32) * side_n * side_n
        x_n = (u_n - np.floor(u_n)) * side_n + (side_n - np.float32(0.5))
        y_n = (v_n - np.floor(v_n)) * side_n + (side_n - np.float32(0.5))
        left_n, top_n = x_n.astype(np.int32), y_n.astype(np.int32)
        along_n, down_n = x_n - left_n, y_n - top_n
        wrap_n = side_n - 1  # sides are powers of two
        right_n, below_n = (left_n + 1) & wrap_n, ((top_n + 1) & wrap_n) * side_n
        left_n, top_n = left_n & wrap_n, (top_n & wrap_n) * side_n
        top = self._mix(start_n + top_n, left_n, right_n, along_n)
        below = self._mix(start_n + below_n, left_n, right_n, along_n)
        return np.asarray(top + (below - top) * down_n, dtype=np.float32)

    def _mix(
        self,
        row_n: npt.NDArray[np.int32],
        left_n: npt.NDArray[np.int32],
        right_n: npt.NDArray[np.int32],
        along_n: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        left = self.values_n[row_n + left_n]
        mixed: npt.NDArray[np.float64] = left + (self.values_n[row_n + right_n] - left) * along_n
        return mixed


@lru_cache(maxsize=4)
def texture_bank(seed: int, tiles_a_kind: int = 10) -> Bank:
    """Draw tiles of every kind. They are a function of the arguments alone."""
    rng = np.random.default_rng((seed, 7919))
    tiles: list[Floats] = []
    kinds: dict[str, tuple[int, int]] = {}
    for kind in KINDS:
        first = len(tiles)
        tiles += _carried() if kind == "carried" else [
            _unit(_DRAWN[kind](rng)) for _ in range(tiles_a_kind)
        ]  # fmt: skip
        kinds[kind] = (first, len(tiles))
    level = np.stack(tiles).astype(np.float32)
    rows, starts = [], [0]
    for _ in range(NUM_LEVELS):
        rows.append(level.ravel())
        starts.append(starts[-1] + level.size)
        if level.shape[1] > 1:
            level = level.reshape(len(level), level.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
    return Bank(np.concatenate(rows), np.array(starts[:-1], dtype=np.int32), kinds)


def noise(rng: np.random.Generator, falloff: float, stretch: float = 1.0) -> Floats:
    """Return noise that repeats, [SIDE, SIDE] in [0, 1]; amplitude falls as frequency^-falloff."""
    fy = np.fft.fftfreq(SIDE)[:, None] * SIDE
    fx = np.fft.rfftfreq(SIDE)[None, :] * SIDE
    radius = np.sqrt(fx**2 + (fy * stretch) ** 2)
    radius[0, 0] = np.inf
    white = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    return _unit(np.fft.irfft2(white * radius**-falloff, s=(SIDE, SIDE)).astype(np.float32))


def _unit(values: Floats) -> Floats:
    """Stretch between the 1st and 99th percentile to [0, 1]."""
    low, high = np.percentile(values, (1, 99))
    return np.asarray(
        ((values - low) / max(float(high - low), 1e-6)).clip(0.0, 1.0).astype(np.float32),
        dtype=np.float32,
    )


def _clouds(rng: np.random.Generator) -> Floats:
    return noise(rng, uniform(rng, 0.8, 2.0))


def _blots(rng: np.random.Generator) -> Floats:
    return (noise(rng, uniform(rng, 1.2, 2.2)) > uniform(rng, 0.35, 0.65)).astype(np.float32)


def _grain(rng: np.random.Generator) -> Floats:
    stretched: Floats = noise(rng, uniform(rng, 0.8, 1.5), uniform(rng, 4.0, 16.0))
    return stretched if chance(rng, 0.5) else stretched.T


def _speckle(rng: np.random.Generator) -> Floats:
    return noise(rng, uniform(rng, 0.0, 0.8))


def _stripes(rng: np.random.Generator) -> Floats:
    num_bands = int(rng.integers(2, 24))
    bands = rng.random(num_bands)
    edges = np.sort(rng.random(num_bands - 1)) if chance(rng, 0.5) else None
    place = np.arange(SIDE) / SIDE
    even = (place * num_bands).astype(int)
    index = even if edges is None else np.searchsorted(edges, place)
    tile = np.repeat(bands[index][None, :], SIDE, axis=0)
    return np.asarray(tile if chance(rng, 0.7) else tile.T, dtype=np.float32)


def _checks(rng: np.random.Generator) -> Floats:
    cells = int(rng.choice((2, 4, 8)))
    y, x = np.mgrid[:SIDE, :SIDE] * cells // SIDE
    tone = rng.random((cells, cells)) * 0.3
    return np.asarray(
        ((x + y) % 2 * 0.7 + tone[y, x] + 0.2 * noise(rng, 1.0)).astype(np.float32),
        dtype=np.float32,
    )


def _bricks(rng: np.random.Generator) -> Floats:
    return _laid(rng, rows=int(rng.choice((2, 4, 8, 16))), columns=int(rng.choice((2, 4, 8))))


def _planks(rng: np.random.Generator) -> Floats:
    laid: Floats = _laid(rng, rows=int(rng.choice((4, 8, 16))), columns=1) + 0.5 * _grain(rng)
    return laid if chance(rng, 0.5) else laid.T


def _laid(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Return rectangles of several tones with joints between them, every other row shifted."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    row = (y * rows).astype(int)
    shifted = x * columns + 0.5 * (row % 2) * float(chance(rng, 0.7))
    column = shifted.astype(int) % columns
    joint = uniform(rng, 0.03, 0.12)
    is_joint = ((y * rows) % 1.0 < joint) | ((shifted % 1.0) < joint * columns / rows)
    tone = 0.5 + 0.5 * rng.random((rows, columns))
    depth = uniform(rng, -0.4, 1.0)
    laid = tone[row, column] + 0.15 * noise(rng, 1.0) - depth * is_joint
    return np.asarray(laid, dtype=np.float32)


def _windows(rng: np.random.Generator) -> Floats:
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    inner_y, inner_x = (y * rows) % 1.0, (x * columns) % 1.0
    high, wide = uniform(rng, 0.4, 0.8), uniform(rng, 0.35, 0.8)
    pane = (inner_y > 0.1) & (inner_y < 0.1 + high) & (np.abs(inner_x - 0.5) < wide / 2)
    tone = 0.5 * rng.random((rows, columns))[(y * rows).astype(int), (x * columns).astype(int)]
    wall = 0.8 + 0.2 * noise(rng, 1.0)
    return np.where(pane, tone, wall).astype(np.float32)


def _books(rng: np.random.Generator) -> Floats:
    rows = int(rng.integers(1, 5))
    tile = np.zeros((SIDE, SIDE), dtype=np.float32)
    for row in range(rows):
        edges = np.sort(rng.random(int(rng.integers(8, 30))))
        tones, tops = rng.random(len(edges) + 1), rng.random(len(edges) + 1)
        index = np.searchsorted(edges, np.arange(SIDE) / SIDE)
        first, last = row * SIDE // rows, (row + 1) * SIDE // rows
        depth = np.linspace(0.0, 1.0, last - first)[:, None]
        tile[first:last] = np.where(
            depth < 0.1 + 0.25 * tops[index], 0.05, 0.2 + 0.8 * tones[index]
        )
        tile[last - max(SIDE // 40, 1) : last] = 0.5
    return tile


def _collage(rng: np.random.Generator) -> Floats:
    tile = np.full((SIDE, SIDE), rng.random(), dtype=np.float32)
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(int(rng.integers(4, 30))):
        cy, cx, ry, rx = rng.random(4) * (SIDE, SIDE, SIDE / 3, SIDE / 3)
        if chance(rng, 0.5):
            inside = (np.abs(y - cy) < ry) & (np.abs(x - cx) < rx)
        else:
            inside = ((y - cy) / (ry + 1)) ** 2 + ((x - cx) / (rx + 1)) ** 2 < 1.0
        tile[inside] = rng.random()
    return tile


def _screen(rng: np.random.Generator) -> Floats:
    tile = _collage(rng)
    for row in range(8, SIDE - 8, 6):
        length = int(rng.integers(0, SIDE))
        tile[row : row + 2, 8 : 8 + length] = np.where(rng.random(length) < 0.6, 0.1, 0.9)[
            : max(0, min(length, SIDE - 8))
        ]
    return tile


def _lines(rng: np.random.Generator) -> Floats:
    cells = int(rng.choice((4, 8, 16)))
    y, x = np.mgrid[:SIDE, :SIDE] * cells / SIDE
    width = uniform(rng, 0.05, 0.3)
    return np.asarray(((y % 1.0 < width) | (x % 1.0 < width)) + 0.3 * noise(rng, 1.0), np.float32)


_DRAWN = {
    "clouds": _clouds, "blots": _blots, "grain": _grain, "stripes": _stripes, "checks": _checks,
    "planks": _planks, "bricks": _bricks, "windows": _windows, "books": _books,
    "screen": _screen, "collage": _collage, "speckle": _speckle, "lines": _lines,
}  # fmt: skip


def _carried() -> list[Floats]:
    tiles = []
    for name in CARRIED:
        with (
            resources.as_file(resources.files("skimage") / "data" / name) as path,
            Image.open(path) as picture,
        ):
            side = min(picture.size)
            square = picture.convert("L").crop((0, 0, side, side))
            small = square.resize((SIDE, SIDE), Image.Resampling.BOX)
        tiles.append(_unit(np.asarray(small, dtype=np.float32)))
    return tiles
