"""Memory of the driver over 10,000 images: it should not grow with their number.

Run `python -m benchmarks.driver_memory`; it prints a Markdown table in some minutes.

Identity refiner on tiny pictures, two actors; the driver's resident memory is sampled while it
runs, and the children (Prefect's server, Ray's processes) are not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from PIL import Image

NUM_IMAGES = 10_000
NUM_ROWS = 10


def write_photographs(folder: Path) -> None:
    folder.mkdir()
    for i in range(NUM_IMAGES):
        Image.new("RGB", (64, 48), (i % 256, i // 256, 128)).save(folder / f"{i:05d}.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_photographs(root / "photographs")
        environment = os.environ | {"PREFECT_HOME": str(root / "prefect"), "OMP_NUM_THREADS": "1"}
        command = [
            Path(sys.executable).with_name("redepth"), "label", root / "photographs",
            "--out", root / "labels", "--recipe=mini-coarse", "--actors=2",
            "--set=labels.coarse.size_px=56", "--set=labels.coarse.weights.seed=0",
            "--set=run.sharding.images_per_shard=100",
        ]  # fmt: skip
        driver = subprocess.Popen([*map(str, command)], env=environment)
        samples = sample(driver, root / "labels" / "labels")
    print("\n| images committed | driver memory (MB) |\n|---:|---:|")
    for done, megabytes in thinned(samples):
        print(f"| {done} | {megabytes:.0f} |")


def sample(driver: subprocess.Popen[bytes], parts: Path) -> list[tuple[int, float]]:
    """Return (images committed, resident MB) once a second until the driver ends."""
    process, samples = psutil.Process(driver.pid), []
    while driver.poll() is None:
        done = 100 * len(list(parts.glob("*.parquet"))) if parts.is_dir() else 0
        samples.append((done, process.memory_info().rss / 1e6))
        time.sleep(1.0)
    assert driver.returncode == 0, f"the run ended with {driver.returncode}"
    return samples


def thinned(samples: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the last sample at or below each tenth of the images, and the end."""
    steps = [NUM_IMAGES * (i + 1) // NUM_ROWS for i in range(NUM_ROWS)]
    return [[s for s in samples if s[0] <= step][-1] for step in steps]


if __name__ == "__main__":
    main()
