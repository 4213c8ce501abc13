"""What the store's arrays should be made of: sizes, times and errors of dtypes and codecs.

Run `python -m benchmarks.store_codecs`; it prints a Markdown table in half a minute.

The maps are depth-like: photographs that scikit-image carries, smoothed with their edges kept,
tilted like ground seen from a camera, and given the fine-grained noise of a network's decoder;
disparity up to about 10, as Depth Anything V2 gives it. An angle is the one between the normals of
a map and those of its stored copy, the map taken as relief half as deep as it is wide.

What it said on 2 cores (32 maps of 518 x 518, 34.3 MB as float32), and what was decided:

| values | codec | MB | write s | read one ms | angle mean, max (deg) |
|---|---|---:|---:|---:|---:|
| float32 | zstd 1 bitshuffle | 22.96 | 0.10 | 2.1 | 0, 0 |
| float32 | zstd 5 bitshuffle | 22.03 | 0.24 | 1.4 | 0, 0 |
| float32 | zstd 9 bitshuffle | 21.80 | 2.68 | 1.6 | 0, 0 |
| float32 | zstd 5 shuffle | 20.98 | 0.13 | 1.3 | 0, 0 |
| float32 | lz4 5 bitshuffle | 23.81 | 0.03 | 1.2 | 0, 0 |
| float32, 16 mantissa bits | zstd 5 bitshuffle | 14.55 | 0.12 | 1.5 | 0.01, 0.21 |
| float16 | zstd 5 bitshuffle | 7.98 | 0.17 | 1.3 | 0.79, 13.05 |

- Coarse and refined are float32: a float16 has stairs that tilt normals by 13 degrees at worst,
  which is what the refiner is there to mend. Who wants a third of the size has the setting.
- zstd 5: 9 takes eleven times as long for 1 % fewer bytes; 1 is twice as fast for 4 % more.
- Bit shuffle and byte shuffle are within 5 to 10 % of each other; the first is kept.
- Spread and confidence are float16 always: they go into no derivative, and float16 halves the
  spread and makes a third of the confidence (of a 3-member ensemble, 27.3 -> 13.0 MB and
  20.0 -> 6.2 MB) at 3e-4 of the range.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import zarr
from scipy import ndimage
from skimage import color, data, restoration, transform
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

SIDE_PX = 518
NUM_IMAGES = 32
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
FloatMaps = npt.NDArray[np.float32]
Codec = tuple[str, int, str]
CODECS: tuple[Codec, ...] = (
    ("zstd", 1, "bitshuffle"),
    ("zstd", 5, "bitshuffle"),
    ("zstd", 9, "bitshuffle"),
    ("zstd", 5, "shuffle"),
    ("lz4", 5, "bitshuffle"),
    ("lz4", 5, "shuffle"),
)


def depth_like_map(rng: np.random.Generator, photograph: str) -> FloatMaps:
    """Make one float32 [SIDE_PX, SIDE_PX] disparity in about [0, 10] from a random crop."""
    grey = color.rgb2gray(getattr(data, photograph)())
    side = int(min(grey.shape) * rng.uniform(0.5, 1.0))
    top, left = (int(rng.integers(0, s - side + 1)) for s in grey.shape)
    crop = transform.resize(grey[top : top + side, left : left + side], (SIDE_PX, SIDE_PX), order=1)
    relief = restoration.denoise_tv_chambolle(crop, weight=0.15)
    ground = np.linspace(0.0, rng.uniform(0.3, 1.5), SIDE_PX)[:, None]
    noise = ndimage.gaussian_filter(rng.normal(size=relief.shape), 1.5) * 0.002
    scene = relief + ground + noise
    return ((scene - scene.min()) / np.ptp(scene) * rng.uniform(4, 10)).astype(np.float32)


def rounded(maps: FloatMaps, mantissa_bits: int) -> FloatMaps:
    """Round every value to so many explicit mantissa bits, half away from zero; stays float32."""
    drop = 23 - mantissa_bits
    bits = maps.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (bits & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def normals(map_hw: FloatMaps) -> npt.NDArray[np.float64]:
    """Return unit normals [H, W, 3] of the map as relief."""
    relief = map_hw.astype(np.float64) / np.ptp(map_hw) * SIDE_PX / 2
    rise_y, rise_x = np.gradient(relief)
    normal = np.stack([-rise_x, -rise_y, np.ones_like(relief)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def angle_errors_deg(maps: FloatMaps, stored: FloatMaps) -> tuple[float, float]:
    """Return the mean and the worst angle between the normals of two stacks of maps."""
    angles = []
    for before, after in zip(maps, stored, strict=True):
        cross = np.linalg.norm(np.cross(normals(before), normals(after)), axis=-1)
        angles.append(np.degrees(np.arcsin(np.minimum(cross, 1.0))))
    return float(np.mean(angles)), float(np.max(angles))


def encode(maps: npt.NDArray[np.floating], codec: Codec) -> tuple[zarr.Array, int, float]:
    """Write the maps as the store does; return the array, its bytes and the seconds."""
    name, level, shuffle = codec
    objects: dict[str, object] = {}
    started = time.perf_counter()
    array = zarr.create_array(
        MemoryStore(objects),
        shape=maps.shape,
        dtype=maps.dtype,
        chunks=(1, *maps.shape[1:]),
        shards=maps.shape,
        compressors=BloscCodec(cname=name, clevel=level, shuffle=shuffle),
        fill_value=float("nan"),
    )
    array[:] = maps
    seconds = time.perf_counter() - started
    return array, sum(len(value) for value in objects.values()), seconds


def read_one_ms(array: zarr.Array) -> float:
    """Return the median milliseconds of reading one image."""
    taken = []
    for index in range(0, NUM_IMAGES, 2):
        started = time.perf_counter()
        _ = array[index]
        taken.append((time.perf_counter() - started) * 1e3)
    return float(np.median(taken))


def main() -> None:
    rng = np.random.default_rng(0)
    maps = np.stack(
        [depth_like_map(rng, PHOTOGRAPHS[i % len(PHOTOGRAPHS)]) for i in range(NUM_IMAGES)]
    )
    stored = {
        "float32": maps,
        "float32, 16 mantissa bits": rounded(maps, 16),
        "float32, 14 mantissa bits": rounded(maps, 14),
        "float32, 12 mantissa bits": rounded(maps, 12),
        "float16": maps.astype(np.float16),
    }
    print(f"{NUM_IMAGES} maps of {SIDE_PX} x {SIDE_PX}, {maps.nbytes / 1e6:.1f} MB as float32\n")
    print("| values | codec | MB | write s | read one ms | max error | angle mean, max (deg) |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for values, block in stored.items():
        as_read = block.astype(np.float32)
        error = float(np.abs(as_read - maps).max())
        mean_deg, max_deg = angle_errors_deg(maps, as_read)
        for codec in CODECS:
            array, num_bytes, seconds = encode(block, codec)
            print(
                f"| {values} | {' '.join(map(str, codec))} | {num_bytes / 1e6:.2f} | {seconds:.2f} "
                f"| {read_one_ms(array):.1f} | {error:.1e} | {mean_deg:.3f}, {max_deg:.2f} |"
            )


if __name__ == "__main__":
    main()
