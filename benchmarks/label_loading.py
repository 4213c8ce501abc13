"""Samples a second of LabelDataset beside the same maps as plain NPY files, from a local disk.

Run `python -m benchmarks.label_loading`; it prints a Markdown table in about a minute.

A sample is a refined map and its confidence, 392 x 518 px, with and without its photograph, a JPEG
of 1.2 megapixels brought to the label's size. Both sides read the same files by the same DataLoader
in random order (LabelDataset in its blocks of four) and decode photographs by the same function;
they take turns, and the ratio is that of the medians, by wall time and, which other programs on
the machine disturb less, by the CPU time of all processes. The page cache is warm: this is the best
case of plain files, which take no decompression and, in turn, more of the disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

from redepth.config import Decoding, Recipe, Storage
from redepth.images.decode import read_image, resize
from redepth.loading import LabelDataset, LabelMaps, Shuffling
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

NUM_SHARDS, IMAGES_PER_SHARD = 4, 32
LABEL_HW, PHOTO_HW = (392, 518), (960, 1280)
BATCH_SIZE = 8
QUANTITIES = ("refined", "confidence")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two forms of the same labels and the photographs lie."""

    labels: Path
    npy: Path
    photographs: Path


class NpyMaps(Dataset[dict[str, Any]]):
    """What one would write with numpy.save: a file for each map."""

    def __init__(self, place: Place, with_photographs: bool) -> None:
        self._place, self._with_photographs = place, with_photographs
        self._names = sorted(path.stem for path in (place.npy / "refined").iterdir())

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: int) -> dict[str, Any]:
        name = self._names[position]
        sample: dict[str, Any] = {"id": name}
        for quantity in QUANTITIES:
            map_hw = np.load(self._place.npy / quantity / f"{name}.npy")
            sample[quantity] = torch.from_numpy(map_hw)
        if self._with_photographs:
            ref = ImageRef(name, str(self._place.photographs / f"{name}.jpg"))
            rgb_hw3 = resize(read_image(ref, Decoding()).rgb_hw3, *LABEL_HW)
            sample["image"] = torch.from_numpy(rgb_hw3).permute(2, 0, 1).contiguous()
        return sample


def depth_like_arrays(rng: np.random.Generator) -> LabelArrays:
    """Make maps that compress about as a network's do: slopes, relief and a little noise."""
    fine, coarse = rng.normal(size=(2, *LABEL_HW))
    relief = 30 * ndimage.gaussian_filter(coarse, 12) + 0.002 * ndimage.gaussian_filter(fine, 1.5)
    depth = (relief + np.linspace(0, 3, LABEL_HW[0])[:, None]).astype(np.float32)
    spread = (0.1 * np.abs(ndimage.gaussian_filter(fine, 3))).astype(np.float32)
    return LabelArrays(depth, depth + 0.01 * spread, spread, np.exp(-spread / np.float32(0.05)))


def write_photograph(rng: np.random.Generator, path: Path) -> None:
    rough = rng.integers(0, 256, (PHOTO_HW[0] // 16, PHOTO_HW[1] // 16, 3), dtype=np.uint8)
    Image.fromarray(rough).resize(PHOTO_HW[::-1], Image.Resampling.BICUBIC).save(path, quality=90)


def write_labels(place: Place) -> None:
    """Commit the labels, and write the photographs that they are of."""
    rng = np.random.default_rng(0)
    place.photographs.mkdir()
    begin(str(place.labels), Recipe(name="benchmark"), [])
    for shard in range(NUM_SHARDS):
        paths = [place.photographs / f"{shard}-{i:02}.jpg" for i in range(IMAGES_PER_SHARD)]
        for path in paths:
            write_photograph(rng, path)
        refs = tuple(ImageRef(path.stem, str(path)) for path in paths)
        size = {"height_px": LABEL_HW[0], "width_px": LABEL_HW[1]}
        rows = [
            LabelRow(id=r.id, uri=r.uri, outcome=Outcome.REFINED, **size,
                     kind=DepthKind.AFFINE_DISPARITY)
            for r in refs
        ]  # fmt: skip
        labels = (Label(row, depth_like_arrays(rng)) for row in rows)
        write_shard(str(place.labels), ShardPlan(f"s{shard}", f"s{shard}", refs), labels, Storage())


def write_npy(place: Place) -> None:
    for image_id, label in open_labels(str(place.labels)).items():
        for quantity in QUANTITIES:
            folder = place.npy / quantity
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{image_id}.npy", getattr(label, quantity))


def measure_epoch(loader: DataLoader[Any]) -> tuple[float, float]:
    """Return samples a second of wall time, and of the CPU time of this process and its workers."""
    started, cpu_before = time.perf_counter(), cpu_seconds()
    number = sum(len(batch["id"]) for batch in loader)
    wall_s, cpu_s = time.perf_counter() - started, cpu_seconds() - cpu_before
    return number / wall_s, number / cpu_s


def cpu_seconds() -> float:
    this = psutil.Process()
    times = [process.cpu_times() for process in (this, *this.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def loaders(place: Place, workers: int, with_photographs: bool) -> list[DataLoader[Any]]:
    maps = LabelMaps(str(place.labels), QUANTITIES, images="uint8" if with_photographs else None)
    labels = LabelDataset(maps, batch_size=BATCH_SIZE, shuffling=Shuffling(seed=0))
    npy = NpyMaps(place, with_photographs)
    how: dict[str, Any] = {"batch_size": BATCH_SIZE, "num_workers": workers}
    how["persistent_workers"] = workers > 0  # starting workers is not reading
    return [DataLoader(labels, **how), DataLoader(npy, shuffle=True, **how)]


def print_row(place: Place, workers: int, with_photographs: bool, repeats: int) -> None:
    pair = loaders(place, workers, with_photographs)
    for loader in pair:
        measure_epoch(loader)  # starts the workers, warms the page cache
    runs = np.array([[measure_epoch(loader) for loader in pair] for _ in range(repeats)])
    (ours, ours_cpu), (npy, npy_cpu) = np.median(runs, axis=0)
    ratios = runs[:, 0, 0] / runs[:, 1, 0]
    what = "maps and photograph" if with_photographs else "maps alone"
    print(
        f"| {what} | {workers} | {ours:.0f} | {npy:.0f} | {ours / npy:.2f} "
        f"| {ratios.min():.2f} to {ratios.max():.2f} | {ours_cpu / npy_cpu:.2f} |"
    )


def megabytes(paths: Sequence[Path]) -> float:
    return sum(f.stat().st_size for path in paths for f in path.rglob("*") if f.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        place = Place(root / "labels", root / "npy", root / "photographs")
        write_labels(place)
        write_npy(place)
        groups = list((place.labels / "arrays").iterdir())
        ours = megabytes([group / quantity for group in groups for quantity in QUANTITIES])
        print(f"{NUM_SHARDS * IMAGES_PER_SHARD} labels; refined and confidence take {ours:.0f} MB, "
              f"as NPY {megabytes([place.npy]):.0f} MB\n")  # fmt: skip
        print(
            "| sample | workers | LabelDataset /s | NPY files /s | ratio | of the runs | by CPU |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        for with_photographs in (True, False):
            for workers in (0, 2):
                print_row(place, workers, with_photographs, repeats)


if __name__ == "__main__":
    main()
