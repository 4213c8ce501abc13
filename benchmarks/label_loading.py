"""Samples a second of LabelDataset beside the same maps as plain NPY files.

Run `python -m benchmarks.label_loading` for a local disk, `... --url s3://bucket/benchmark` for an
object store (an empty place; it is left there); it prints a Markdown table in a minute or two.

A sample is a refined map and its confidence, 392 x 518 px, with and without its photograph, a JPEG
of 1.2 megapixels brought to the label's size. Both sides read the same files by the same DataLoader
in random order (LabelDataset in its blocks of four) and decode photographs by the same function;
they take turns, and the ratio is that of the medians, by wall time and, which other programs on
the machine disturb less, by the CPU time of all processes. On a disk the page cache is warm: this
is the best case of plain files, which take no decompression and, in turn, more of the disk. On an
object store a map is one request, through fsspec on both sides.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

from redepth.config import Decoding, Recipe, Storage
from redepth.filesystems import open_filesystem
from redepth.images.decode import read_image
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.torch_data import LabelDataset, LabelMaps, Shuffling
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

NUM_SHARDS, IMAGES_PER_SHARD = 4, 32
LABEL_HW, PHOTO_HW = (392, 518), (960, 1280)
BATCH_SIZE = 8
QUANTITIES = ("refined", "confidence")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two forms of the same labels and the photographs lie: a folder or a URL."""

    root: str

    @property
    def labels(self) -> str:
        return f"{self.root}/labels"

    def photograph(self, name: str) -> str:
        return f"{self.root}/photographs/{name}.jpg"

    def npy(self, quantity: str, name: str) -> str:
        return f"{self.root}/npy/{quantity}/{name}.npy"

    def put(self, url: str, content: bytes) -> None:
        open_objects(self.root).put(url.removeprefix(f"{self.root}/"), content)


class NpyMaps(Dataset[dict[str, Any]]):
    """What one would write with numpy.save: a file for each map."""

    def __init__(self, place: Place, names: Sequence[str], with_photographs: bool) -> None:
        self._place, self._names, self._with_photographs = place, names, with_photographs
        # Workers must not let go of their parent's connections: that would close them.
        self._kept = open_filesystem(place.root)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: int) -> dict[str, Any]:
        name = self._names[position]
        sample: dict[str, Any] = {"id": name}
        for quantity in QUANTITIES:
            sample[quantity] = torch.from_numpy(load_npy(self._place.npy(quantity, name)))
        if self._with_photographs:
            ref = ImageRef(name, self._place.photograph(name))
            image = read_image(ref, Decoding(), target=lambda height_px, width_px: LABEL_HW)
            sample["image"] = torch.from_numpy(image.rgb_hw3).permute(2, 0, 1).contiguous()
        return sample


def load_npy(url: str) -> np.ndarray:
    """Read a file with one request."""
    fs, path = open_filesystem(url)  # cached by fsspec, in every process anew
    if isinstance(fs, LocalFileSystem):
        return np.asarray(np.load(path, allow_pickle=False))
    return np.asarray(np.load(io.BytesIO(fs.cat_file(path, max_concurrency=1)), allow_pickle=False))


def depth_like_arrays(rng: np.random.Generator) -> LabelArrays:
    """Make maps that compress about as a network's do: slopes, relief and a little noise."""
    fine, coarse = rng.normal(size=(2, *LABEL_HW))
    relief = 30 * ndimage.gaussian_filter(coarse, 12) + 0.002 * ndimage.gaussian_filter(fine, 1.5)
    depth = (relief + np.linspace(0, 3, LABEL_HW[0])[:, None]).astype(np.float32)
    spread = (0.1 * np.abs(ndimage.gaussian_filter(fine, 3))).astype(np.float32)
    return LabelArrays.of_depth(
        depth, depth + 0.01 * spread, spread, np.exp(-spread / np.float32(0.05))
    )


def photograph(rng: np.random.Generator) -> bytes:
    rough = rng.integers(0, 256, (PHOTO_HW[0] // 16, PHOTO_HW[1] // 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    picture = Image.fromarray(rough).resize(PHOTO_HW[::-1], Image.Resampling.BICUBIC)
    picture.save(file, format="JPEG", quality=90)
    return file.getvalue()


def write_labels(place: Place) -> None:
    """Commit the labels, and write the photographs that they are of."""
    rng = np.random.default_rng(0)
    begin(place.labels, Recipe(name="benchmark"), [])
    for shard in range(NUM_SHARDS):
        names = [f"{shard}-{i:02}" for i in range(IMAGES_PER_SHARD)]
        refs = tuple(ImageRef(name, place.photograph(name)) for name in names)
        photographs = [photograph(rng) for _ in refs]
        for ref, content in zip(refs, photographs, strict=True):
            place.put(ref.uri, content)
        rows = [
            LabelRow(id=r.id, uri=r.uri, outcome=Outcome.REFINED, height_px=LABEL_HW[0],
                     width_px=LABEL_HW[1], kind=DepthKind.AFFINE_DISPARITY,
                     sha256=hashlib.sha256(content).hexdigest())
            for r, content in zip(refs, photographs, strict=True)
        ]  # fmt: skip
        labels = (Label(row, depth_like_arrays(rng)) for row in rows)
        plan = ShardPlan(f"{shard:016x}", f"{shard:016x}", refs)
        write_shard(place.labels, plan, labels, Storage())


def write_npy(place: Place) -> int:
    """Write the same maps as files; return their bytes."""
    num_bytes = 0
    for image_id, label in open_labels(place.labels).items():
        for quantity in QUANTITIES:
            file = io.BytesIO()
            np.save(file, getattr(label, quantity))
            place.put(place.npy(quantity, image_id), file.getvalue())
            num_bytes += len(file.getvalue())
    return num_bytes


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
    maps = LabelMaps(place.labels, QUANTITIES, images="uint8" if with_photographs else None)
    labels = LabelDataset(maps, batch_size=BATCH_SIZE, shuffling=Shuffling(seed=0))
    npy = NpyMaps(place, list(open_labels(place.labels)), with_photographs)
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


def label_bytes(place: Place) -> int:
    """Return the bytes of the arrays that hold the quantities."""
    fs, path = open_filesystem(place.labels)
    groups = {label.row.array_group for label in open_labels(place.labels).values()}
    return sum(fs.du(f"{path}/arrays/{g}/{q}") for g in groups for q in QUANTITIES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--url", help="where to write, e.g. s3://bucket/benchmark")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Place(asked.url or folder)
        write_labels(place)
        npy_bytes = write_npy(place)
        print(f"{NUM_SHARDS * IMAGES_PER_SHARD} labels; refined and confidence take "
              f"{label_bytes(place) / 1e6:.0f} MB, as NPY {npy_bytes / 1e6:.0f} MB\n")  # fmt: skip
        print(
            "| sample | workers | LabelDataset /s | NPY files /s | ratio | of the runs | by CPU |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        for with_photographs in (True, False):
            for workers in (0, 2):
                print_row(place, workers, with_photographs, asked.repeats)


if __name__ == "__main__":
    main()
