"""What a shared forward costs, what it does to the last bits, and whether an image's place shows.

    python -m benchmarks.batches [--sizes 1 2 4 8] [--images 8] [--repeats 5] [--device cpu]
    python -m benchmarks.batches --models FOLDER [--device cuda] ...

The mini recipes, one thread, rendered scenes of 64 px, models alone: no decoding, no guard. Seconds
are the best of the repeats; on a CPU those of the process itself, so that others on the machine
count less. `difference` is the largest from the maps of a batch size of 1, as a
share of a map's range. `places` is in how many places of a full batch an image's maps are not the
very bits that it has among copies of its own: 0, or a label would depend on its neighbours.

`--models` takes the folder that `benchmarks.random_weights` writes, and measures the architectures
at their published size, on noise of 518 px.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.random_weights import VARIANT, write_models
from redepth.coarse.batches import estimate_all
from redepth.config import load_recipe
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.refiners.batches import refine_all
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.types import ByteImage, CoarseDepth, Members

FAMILIES = ("faces", "coins", "pebbles", "dunes", "lumps", "solids", "fences", "plants")
MINI = ("mini-coarse", "mini-metric", "betterdepth-mini", "sharpdepth-mini")
_REAL_PX = 518


@dataclass(frozen=True, slots=True)
class Row:
    """What a batch size gives; see the module."""

    recipe: str
    batch_size: int
    images_a_second: float
    difference: float
    places: int


def members_of(
    labeller: Labeller, pictures: Sequence[ByteImage], names: Sequence[str], size: int
) -> list[np.ndarray]:
    """Return every picture's members, float32 [E, H, W]."""
    found = estimate_all(labeller.estimator, pictures, [None] * len(pictures), size)
    scenes = [
        RefinementInput(name, rgb_hw3, coarse, "")
        for name, rgb_hw3, coarse in zip(names, pictures, found, strict=True)
        if isinstance(coarse, CoarseDepth)
    ]
    members = refine_all(labeller.refiner, scenes, size)
    return [one.maps_ehw for one in members if isinstance(one, Members)]


def measure(
    recipe: str,
    labeller: Labeller,
    pictures: Sequence[ByteImage],
    sizes: Sequence[int],
    repeats: int,
) -> list[Row]:
    """Measure a recipe's models at every batch size, in turns: a busy machine is so to all."""
    names = [f"image-{number}" for number in range(len(pictures))]
    maps = {size: members_of(labeller, pictures, names, size) for size in {1, *sizes}}
    clock = time.process_time if labeller.device == "cpu" else time.perf_counter
    seconds = dict.fromkeys(sizes, float("inf"))
    for _ in range(repeats):
        for size in sizes:
            started = clock()
            members_of(labeller, pictures, names, size)
            seconds[size] = min(seconds[size], clock() - started)
    return [
        Row(
            recipe,
            size,
            len(pictures) / seconds[size],
            largest_difference(maps[size], maps[1]),
            places_that_show(labeller, pictures, names, size),
        )
        for size in sizes
    ]


def largest_difference(found: Sequence[np.ndarray], alone: Sequence[np.ndarray]) -> float:
    """Return the largest difference of any map, as a share of its range."""
    pairs = zip(found, alone, strict=True)
    return max(float(np.abs(one - own).max() / np.ptp(own)) for one, own in pairs)


def places_that_show(
    labeller: Labeller, pictures: Sequence[ByteImage], names: Sequence[str], size: int
) -> int:
    """Return in how many places of a batch the first image has other bits than among its copies."""
    (expected,) = members_of(labeller, pictures[:1], names[:1], size)
    shows = 0
    for place in range(size):
        order = [1 + other % (len(pictures) - 1) for other in range(size)]
        order[place] = 0
        found = members_of(labeller, [pictures[n] for n in order], [names[n] for n in order], size)
        shows += found[place].tobytes() != expected.tobytes()
    return shows


def overrides(models: Path, device: str) -> dict[str, tuple[str, ...]]:
    """Return recipes at their real size, with the models of a folder."""
    own = f"labels.compute.device={device}"
    dtype = f"labels.compute.dtype={'float16' if device == 'cuda' else 'float32'}"
    weights = "labels.refiner.model.weights."
    half = f"{weights}variant={VARIANT}"
    metric = f"labels.coarse.weights.folder={models / 'metric'}"
    depth = f"labels.coarse.weights.folder={models / 'depth'}"
    return {
        "coarse": (own, depth),
        "metric": (own, metric),
        "sharpdepth": (own, dtype, metric, half, f"{weights}folder={models / 'sharpdepth'}"),
        "betterdepth": (
            own, dtype, depth, half, f"{weights}folder={models / 'betterdepth'}",
            "labels.refiner.num_steps=2", "labels.refiner.num_members=1",
        ),
    }  # fmt: skip


def pictures_of(count: int, *, rendered: bool) -> list[ByteImage]:
    """Return rendered scenes of 64 px, or noise at the real size."""
    if rendered:
        places = [(FAMILIES[n % len(FAMILIES)], n // len(FAMILIES)) for n in range(count)]
        return [render_scene(family, n, 64, Split.TUNING).rgb_hw3 for family, n in places]
    random = np.random.default_rng(0)
    size = (_REAL_PX, _REAL_PX, 3)
    return [random.integers(0, 256, size, dtype=np.uint8) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--recipes", nargs="+")
    arguments = parser.parse_args()
    recipes: dict[str, tuple[str, ...]] = dict.fromkeys(MINI, ())
    if arguments.models is not None:
        if not arguments.models.is_dir():
            write_models(arguments.models, torch.device(arguments.device))
        recipes = overrides(arguments.models, arguments.device)
    pictures = pictures_of(arguments.images, rendered=arguments.models is None)
    print("| recipe | batch | images a second | difference | places |\n|---|---:|---:|---:|---:|")
    for recipe in arguments.recipes or recipes:
        labeller = load_labeller(load_recipe(recipe, recipes[recipe]).labels)
        for row in measure(recipe, labeller, pictures, arguments.sizes, arguments.repeats):
            print(
                f"| {row.recipe} | {row.batch_size} | {row.images_a_second:.1f} "
                f"| {row.difference:.1e} | {row.places} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
