"""What the store's arrays should be made of: sizes, times and errors of dtypes and codecs.

Run `python -m benchmarks.store_codecs`; it prints two Markdown tables in a minute.

The maps are depth-like: photographs that scikit-image carries, smoothed with their edges kept,
tilted like ground seen from a camera, and given the fine-grained noise of a network's decoder;
disparity up to about 10, as Depth Anything V2 gives it. An angle is the one between the normals of
a map and those of its stored copy, the map taken as relief half as deep as it is wide. Times are
CPU time of one core, an image; the codec is Blosc's, whose level 2 is zstd's own 3.

What it said (32 maps of 518 x 518, 34.3 MB as float32), and what was decided:

| values | codec | MB | pack ms | unpack ms | angle mean, max (deg) |
|---|---|---:|---:|---:|---:|
| float32 | zstd 1 bitshuffle | 22.96 | 3.34 | 2.39 | 0, 0 |
| float32 | zstd 3 bitshuffle | 22.79 | 4.64 | 1.90 | 0, 0 |
| float32 | zstd 5 bitshuffle | 22.03 | 9.26 | 1.65 | 0, 0 |
| float32 | zstd 1 shuffle | 22.62 | 3.51 | 2.05 | 0, 0 |
| float32 | zstd 2 shuffle | 21.96 | 3.45 | 1.63 | 0, 0 |
| float32 | zstd 3 shuffle | 21.48 | 5.18 | 1.61 | 0, 0 |
| float32 | zstd 5 shuffle | 20.98 | 10.17 | 1.43 | 0, 0 |
| float32 | lz4 5 shuffle | 23.19 | 1.66 | 1.04 | 0, 0 |
| float32, 16 mantissa bits | zstd 2 shuffle | 15.56 | 3.83 | 1.84 | 0.01, 0.21 |
| float16 | zstd 5 bitshuffle | 7.98 | 8.91 | 1.21 | 0.79, 13.05 |
| float16 | zstd 2 shuffle | 8.31 | 3.90 | 0.88 | 0.79, 13.05 |

Four labels of the mini recipe (3 members of 6 steps, 256 x 256 px), spread and confidence float16:

| codec | coarse | refined | spread | confidence | all, MB | pack ms |
|---|---:|---:|---:|---:|---:|---:|
| zstd 1 bitshuffle | 0.66 | 0.66 | 0.36 | 0.20 | 1.89 | 5.30 |
| zstd 5 bitshuffle | 0.63 | 0.63 | 0.36 | 0.20 | 1.82 | 11.02 |
| zstd 1 shuffle | 0.66 | 0.66 | 0.35 | 0.22 | 1.89 | 5.49 |
| zstd 2 shuffle | 0.64 | 0.64 | 0.34 | 0.22 | 1.83 | 6.09 |
| zstd 3 shuffle | 0.62 | 0.62 | 0.33 | 0.20 | 1.76 | 7.93 |
| zstd 5 shuffle | 0.60 | 0.60 | 0.32 | 0.20 | 1.73 | 13.53 |

- Coarse and refined are float32: a float16 has stairs that tilt normals by 13 degrees at worst,
  which is what the refiner is there to mend. Who wants a third of the size has the setting.
- zstd 2 after a byte shuffle: the size of level 5 after a bit shuffle, which it was before, in 0.4
  to 0.6 of the time. Levels 3 and 5 save 3 and 5 % of the bytes for 1.4 and 2.5 times as long.
- Spread and confidence are float16 always: they go into no derivative, and float16 halves the
  spread and makes a third of the confidence (of a 3-member ensemble, 27.3 -> 13.0 MB and
  20.0 -> 6.2 MB) at 3e-4 of the range.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image
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
    ("zstd", 3, "bitshuffle"),
    ("zstd", 5, "bitshuffle"),
    ("zstd", 1, "shuffle"),
    ("zstd", 2, "shuffle"),
    ("zstd", 3, "shuffle"),
    ("zstd", 5, "shuffle"),
    ("lz4", 5, "shuffle"),
)
# Of a real ensemble: spread and confidence have another texture than maps.
MEMBERS = (
    "labels.coarse.size_px=256",
    "labels.refiner.num_steps=6",
    "labels.refiner.num_members=3",
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


def of_an_ensemble() -> dict[str, npt.NDArray[np.floating]]:
    """Label the photographs with the mini recipe; return the maps of each quantity as stored."""
    from redepth.config import load_recipe
    from redepth.images.collection import list_images
    from redepth.labelling.labeller import load_labeller
    from redepth.quantities import ALWAYS
    from redepth.store.arrays import as_stored

    labeller = load_labeller(load_recipe("mini", MEMBERS).labels)
    with tempfile.TemporaryDirectory() as folder:
        for name in PHOTOGRAPHS:
            picture = Image.fromarray(getattr(data, name)()).resize((512, 512))
            picture.save(Path(folder) / f"{name}.png")
        labels = [labeller.label(ref) for ref in list_images(folder)]
    maps = [label.arrays for label in labels if label.arrays is not None]
    return {
        quantity.name: np.stack([one[quantity.name] for one in maps]).astype(quantity.dtype)
        for quantity in (as_stored(one, "float32") for one in ALWAYS)
    }


def encode(maps: npt.NDArray[np.floating], codec: Codec) -> tuple[zarr.Array, int, float]:
    """Write the maps with Zarr; return the array, its bytes and the CPU seconds."""
    name, level, shuffle = codec
    objects: dict[str, Any] = {}
    started = time.process_time()
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
    seconds = time.process_time() - started
    return array, sum(len(value) for value in objects.values()), seconds


def measured(maps: npt.NDArray[np.floating], codec: Codec) -> tuple[float, float, float]:
    """Return MB, and the CPU ms an image of packing all and of unpacking all, the best of three."""
    packing, unpacking = [], []
    for _ in range(3):
        array, num_bytes, seconds = encode(maps, codec)
        packing.append(seconds)
        started = time.process_time()
        _ = array[:]
        unpacking.append(time.process_time() - started)
    return num_bytes / 1e6, min(packing) * 1e3 / len(maps), min(unpacking) * 1e3 / len(maps)


def main() -> None:
    rng = np.random.default_rng(0)
    maps = np.stack(
        [depth_like_map(rng, PHOTOGRAPHS[i % len(PHOTOGRAPHS)]) for i in range(NUM_IMAGES)]
    )
    stored: dict[str, npt.NDArray[np.floating]] = {
        "float32": maps,
        "float32, 16 mantissa bits": rounded(maps, 16),
        "float16": maps.astype(np.float16),
    }
    print(f"{NUM_IMAGES} maps of {SIDE_PX} x {SIDE_PX}, {maps.nbytes / 1e6:.1f} MB as float32\n")
    print("| values | codec | MB | pack ms | unpack ms | angle mean, max (deg) |")
    print("|---|---|---:|---:|---:|---:|")
    for values, block in stored.items():
        mean_deg, max_deg = angle_errors_deg(maps, block.astype(np.float32))
        for codec in CODECS:
            num_mb, pack_ms, unpack_ms = measured(block, codec)
            print(
                f"| {values} | {' '.join(map(str, codec))} | {num_mb:.2f} | {pack_ms:.2f} "
                f"| {unpack_ms:.2f} | {mean_deg:.2f}, {max_deg:.2f} |",
                flush=True,
            )
    print("\n| codec | " + " | ".join(ensemble := of_an_ensemble()) + " | all, MB | pack ms |")
    print(f"|---|{'---:|' * (len(ensemble) + 2)}")
    for codec in CODECS:
        found = [measured(block, codec) for block in ensemble.values()]
        sizes = " | ".join(f"{num_mb:.2f}" for num_mb, _, _ in found)
        total_mb, pack_ms = (sum(column) for column in list(zip(*found, strict=True))[:2])
        print(f"| {' '.join(map(str, codec))} | {sizes} | {total_mb:.2f} | {pack_ms:.2f} |")


if __name__ == "__main__":
    main()
