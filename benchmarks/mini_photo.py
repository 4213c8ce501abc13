"""What the small model for photographs sees of pictures with measured depth.

python -m benchmarks.mini_photo PAIRS.csv [--weights FOLDER]

PAIRS.csv has a line a picture: `photograph`, `depth` (a picture of whole numbers, 0 for unknown)
and `per_metre` (of these numbers). Prints, a line a picture, Spearman's correlation of the map with
nearness, that of the picture's row (lower is nearer), and AbsRel after the best scale and shift of
the disparity, of the map and of a fitted plane. Disparities are held to the farthest depth that was
measured.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.stats import spearmanr

from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.coarse.part import Coarse
from redepth.settings import Weights
from redepth.types import FloatMap

Floats = npt.NDArray[np.float64]
SIZE_PX = 192


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture's figures, of the map and of what needs no model."""

    name: str
    rank: float
    rank_of_row: float
    abs_rel: float
    abs_rel_of_plane: float


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--weights", type=Path, help="a trained folder; default: the shipped one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    own = {} if asked.weights is None else {"weights": Weights(folder=str(asked.weights))}
    estimator = load_estimator(
        Coarse(preset="mini-photo", size_px=SIZE_PX, **own), torch.device("cpu")
    )
    with asked.pairs.open(newline="", encoding="utf-8") as file:
        seen = [measured(estimator, asked.pairs.parent, line) for line in csv.DictReader(file)]
    print("| picture | rank | rank row | AbsRel | AbsRel plane |\n|---|---|---|---|---|")
    for one in seen:
        print(line_of(one))
    values = np.array([figures(one) for one in seen])
    print(line_of(Seen("median", *np.median(values, axis=0).tolist())))
    better = int((values[:, 0] > values[:, 1]).sum())
    print(f"\nbetter than the row in {better} of {len(seen)}", end=", ")
    print(f"AbsRel below the plane's in {int((values[:, 2] < values[:, 3]).sum())}")


def measured(estimator: DepthEstimator, folder: Path, line: dict[str, str]) -> Seen:
    """Show the model one picture and compare its map with the depth."""
    photograph = Image.open(folder / line["photograph"]).convert("RGB")
    depth_hw = np.asarray(Image.open(folder / line["depth"])).astype(np.float64)
    depth_hw /= float(line["per_metre"])
    map_hw = resized_map(estimator, photograph, depth_hw.shape)
    known_hw = depth_hw > 0
    depth_n, map_n = depth_hw[known_hw], map_hw[known_hw].astype(np.float64)
    row_n, column_n = (places_n.astype(np.float64) for places_n in np.nonzero(known_hw))
    return Seen(
        Path(line["photograph"]).stem,
        float(spearmanr(map_n, 1 / depth_n)[0]),
        float(spearmanr(row_n, 1 / depth_n)[0]),
        abs_rel(depth_n, map_n),
        abs_rel(depth_n, column_n, row_n),
    )


def resized_map(
    estimator: DepthEstimator, photograph: Image.Image, size_hw: tuple[int, ...]
) -> FloatMap:
    """Return the map of a photograph at another size."""
    height_px, width_px = estimator.processing_size(photograph.height, photograph.width)
    shown = photograph.resize((width_px, height_px), Image.Resampling.LANCZOS)
    found = Image.fromarray(estimator.estimate(np.asarray(shown)).map_hw)
    return np.asarray(found.resize((size_hw[1], size_hw[0]), Image.Resampling.BILINEAR))


def abs_rel(depth_n: Floats, *terms: Floats) -> float:
    """Return AbsRel of the disparity that a sum of the terms, and a constant, fits best."""
    matrix = np.stack([*terms, np.ones_like(depth_n)], axis=1)
    weights, *_ = np.linalg.lstsq(matrix, 1 / depth_n, rcond=None)
    fitted_n = 1 / np.maximum(matrix @ weights, 1 / depth_n.max())
    return float(np.mean(np.abs(fitted_n - depth_n) / depth_n))


def figures(one: Seen) -> tuple[float, float, float, float]:
    """Return the four figures of a picture."""
    return one.rank, one.rank_of_row, one.abs_rel, one.abs_rel_of_plane


def line_of(one: Seen) -> str:
    """Return a line of the table."""
    return f"| {one.name} | {' | '.join(f'{value:.3f}' for value in figures(one))} |"


if __name__ == "__main__":
    main()
