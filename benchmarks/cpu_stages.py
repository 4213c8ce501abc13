"""CPU time around a model: a JPEG until it is resized, members until they are scored.

Run `OMP_NUM_THREADS=1 python -m benchmarks.cpu_stages`; it prints two Markdown tables in half a
minute.

The photograph is made here: noise of all scales, whose amplitude grows with the scale as it does in
photographs, and a sensor's grain over it, 4000 x 3000 px, saved as JPEG of quality 92 with 4:2:0
chroma. It is read from a file that is in the page cache, and brought to 518 px. The ensemble has 4
members of 518 x 518 px, a smooth map with noise of three scales in each of them. Times are CPU time
of this process, the least of several turns: other programs on the machine only make a turn longer.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from redepth.config import Decoding, Ensemble, Guard
from redepth.geometry.sizes import input_size
from redepth.images.decode import read_image
from redepth.labelling.ensemble import guard, reduce_members
from redepth.types import FloatMap, ImageRef, Members

PHOTO_HW, SIZE_PX, NUM_MEMBERS = (3000, 4000), 518, 4
FINEST_PX, GRAIN = 4, 6.0


def photograph(height_px: int, width_px: int) -> bytes:
    """Return noise as a photograph has it, as a JPEG."""
    rng = np.random.default_rng(0)
    rgb_hw3 = np.zeros((height_px, width_px, 3), dtype=np.float32)
    for octave in range(5):
        grain_px = FINEST_PX * 4**octave
        rough = rng.normal(size=(3, height_px // grain_px + 2, width_px // grain_px + 2))
        for channel, rough_hw in enumerate(rough.astype(np.float32)):
            fine = Image.fromarray(rough_hw).resize((width_px, height_px), Image.Resampling.BICUBIC)
            rgb_hw3[..., channel] += 2.0**octave * np.asarray(fine)
    rgb_hw3 = 128 + 50 / rgb_hw3.std() * rgb_hw3
    rgb_hw3 += rng.normal(scale=GRAIN, size=(height_px, width_px, 1)).astype(np.float32)
    file = io.BytesIO()
    picture = Image.fromarray(rgb_hw3.clip(0, 255).astype(np.uint8))
    picture.save(file, format="JPEG", quality=92, subsampling="4:2:0")
    return file.getvalue()


def ensemble() -> tuple[FloatMap, Members]:
    """Return a coarse map and members that differ from it by noise."""
    rng = np.random.default_rng(0)
    size_hw = (SIZE_PX, SIZE_PX)
    coarse_hw = 3 + 30 * ndimage.gaussian_filter(rng.normal(size=size_hw), 20)
    scales = (1, 3, 9)
    noise = [
        sum(0.02 * s * ndimage.gaussian_filter(rng.normal(size=size_hw), s) for s in scales)
        for _ in range(NUM_MEMBERS)
    ]
    maps_ehw = np.stack([(1 + 0.1 * e) * coarse_hw + n for e, n in enumerate(noise)])
    return coarse_hw.astype(np.float32), Members(maps_ehw.astype(np.float32))


def least_ms(work: Callable[[], object], turns: int) -> float:
    """Return the CPU time of the fastest of several turns, in ms."""
    seconds = []
    for _ in range(turns):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return 1e3 * min(seconds)


def processing_size(height_px: int, width_px: int) -> tuple[int, int]:
    new_width_px, new_height_px = input_size(width_px, height_px, SIZE_PX)
    return new_height_px, new_width_px


def print_photograph(turns: int) -> None:
    content = photograph(*PHOTO_HW)
    print(
        f"| a JPEG of 4000 x 3000 px, {len(content) / 1e6:.1f} MB, to 518 px | CPU ms |\n|---|---:|"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        path.write_bytes(content)
        ref = ImageRef("photograph", str(path))
        for name, reduced_scale in (("every pixel", False), ("reduced_scale", True)):
            settings = Decoding(reduced_scale=reduced_scale)
            work = partial(read_image, ref, settings, target=processing_size)
            ms = least_ms(work, turns)
            print(f"| read, decode, resize: {name} | {ms:.1f} |")
    print()


def print_ensemble(turns: int) -> None:
    coarse_hw, members = ensemble()
    refined = reduce_members(members, coarse_hw, Ensemble())
    stages: dict[str, Callable[[], object]] = {
        "align, mean, spread, confidence": lambda: reduce_members(members, coarse_hw, Ensemble()),
        "guard: drift and rank correlation": lambda: guard(coarse_hw, refined.map_hw, Guard()),
    }
    times = {name: least_ms(work, turns) for name, work in stages.items()}
    print(f"| {NUM_MEMBERS} members of {SIZE_PX} x {SIZE_PX} px | CPU ms |\n|---|---:|")
    for name, ms in {**times, "both": sum(times.values())}.items():
        print(f"| {name} | {ms:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print_photograph(asked.turns)
    print_ensemble(asked.turns)


if __name__ == "__main__":
    main()
