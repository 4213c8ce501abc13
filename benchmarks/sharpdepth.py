"""What `sharpdepth-mini` does to edges and metres on held-out scenes, beside its controls.

    python -m benchmarks.sharpdepth [--count 34] [--split held-out] [--teacher FOLDER] [--row ...]

Scenes with thin structures and occlusions: fences and plants, whose families all models were shown,
and wires, which none of them saw. Every row but the first two is the product's own refiner with
settings exchanged. `align the sharp map`: the first pass, brought to the metric map by one scale
and shift over all pixels, which the gate is there to improve on. `--teacher` adds the teacher that
`redepth train sharpdepth` writes. Nothing is aligned to the truth: metres are compared with metres.
It prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from redepth.config import load_recipe
from redepth.geometry.alignment import fit_affine
from redepth.labelling.ensemble import reduce_members
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.metrics.boundaries import boundary_metrics, depth_or_disparity_edges
from redepth.metrics.depth import depth_metrics
from redepth.metrics.paired import paired_change
from redepth.refiners.refiner import RefinementInput
from redepth.refiners.sharpdepth.refiner import SharpDepthRefiner
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split

RECIPE = "sharpdepth-mini"
SEEN, NEW = ("fences", "plants"), ("wires",)
METRIC, ALIGNED, FULL = "metric model", "align the sharp map", "sharpdepth-mini"
SETTINGS: dict[str, tuple[str, ...]] = {
    FULL: (),
    "gate: max, as released": ("gate_normaliser=max",),
    "gated noise: latent, as released": ("gated_noise=latent",),
    "both as released": ("gate_normaliser=max", "gated_noise=latent"),
    "one member": ("num_members=1", "members_per_batch=1"),
}
FIGURES = ("abs_rel", "delta1", "dbe_accuracy", "dbe_completeness", "edge_precision", "edge_f1")
Found = dict[str, dict[str, list[float]]]


def figures(map_hw: np.ndarray, scene: Scene) -> dict[str, float]:
    """Return the figures of a map in metres; a pixel that is not positive counts as wrong."""
    positive = map_hw > 0
    depth = depth_metrics(map_hw, scene.depth_hw, np.ones(map_hw.shape, dtype=bool))
    clean_hw = np.where(positive, map_hw, map_hw[positive].min())
    edges = boundary_metrics(
        depth_or_disparity_edges(clean_hw), depth_or_disparity_edges(scene.depth_hw)
    )
    return {
        "abs_rel": depth.abs_rel,
        "delta1": depth.delta1 * float(positive.mean()),
        "dbe_accuracy": edges.near_accuracy_px,
        "dbe_completeness": edges.completeness_px,
        "edge_precision": edges.precision,
        "edge_f1": edges.f1,
    }


def refined(labeller: Labeller, judged: RefinementInput) -> np.ndarray:
    """Return the map that would be the label."""
    members = labeller.refiner.refine(judged)
    return reduce_members(members, judged.coarse.map_hw, labeller.settings.ensemble).map_hw


def aligned_first_pass(labeller: Labeller, judged: RefinementInput) -> np.ndarray:
    """Return the mean of the members' first passes, each aligned over all pixels."""
    refiner = labeller.refiner
    assert isinstance(refiner, SharpDepthRefiner)
    firsts = refiner.sharpen(judged, range(4)).first_bhw.cpu().numpy()
    metric_hw = judged.coarse.map_hw
    return np.mean([fit_affine(m, metric_hw).apply(m) for m in firsts], axis=0)


def labellers(teacher: str | None) -> dict[str, Labeller]:
    """Load every row's models."""

    def load(*changes: str) -> Labeller:
        return load_labeller(
            load_recipe(RECIPE, [f"labels.refiner.{change}" for change in changes]).labels
        )

    rows = {name: load(*changes) for name, changes in SETTINGS.items()}
    if teacher is not None:
        weights = (f"model.weights.folder={teacher}", "model.weights.variant=fp16")
        rows["the teacher, gated"] = load(*weights)
    return rows


def measure(
    rows: Mapping[str, Labeller], families: Sequence[str], count: int, split: Split
) -> Found:
    """Return row -> figure -> one value a scene."""
    found: Found = {}

    def keep(row: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            found.setdefault(row, {}).setdefault(name, []).append(value)

    for family in families:
        for seed in range(count):
            scene = render_scene(family, seed, 64, split)
            coarse = rows[FULL].estimator.estimate(scene.rgb_hw3)
            judged = RefinementInput(scene.id, scene.rgb_hw3, coarse, "")
            keep(METRIC, figures(coarse.map_hw, scene))
            keep(ALIGNED, figures(aligned_first_pass(rows[FULL], judged), scene))
            for row, labeller in rows.items():
                keep(row, figures(refined(labeller, judged), scene))
    return found


def table(group: str, found: Found) -> None:
    """Print a line a row: means, and changes against the metric model with 95 % intervals."""
    before = found[METRIC]
    for row, values in found.items():
        cells = [group, row, str(len(values["delta1"])), f"{100 * np.mean(values['delta1']):.2f} %"]
        for name in ("abs_rel", "dbe_accuracy", "dbe_completeness", "edge_f1"):
            mean = np.nanmean(values[name])
            change = paired_change(before[name], values[name], larger_is_better=name == "edge_f1")
            said = (
                ""
                if row == METRIC or change is None
                else (f" ({change.change:+.1%} [{change.low:+.1%}, {change.high:+.1%}])")
            )
            cells.append(f"{mean:.3f}{said}")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=34, help="scenes of each family")
    parser.add_argument("--split", default=Split.HELD_OUT.value, choices=[s.value for s in Split])
    parser.add_argument("--teacher", help="folder of the teacher")
    parser.add_argument("--json", type=Path, help="every value of every scene goes here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = labellers(given.teacher)
    print(
        "| scenes | row | n | delta1 | AbsRel | DBE accuracy, px | DBE completeness, px | edge F1 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    everything: dict[str, Any] = {}
    for group, families in {"seen": SEEN, "never seen": NEW, "all": (*SEEN, *NEW)}.items():
        if group == "all":
            found = {
                row: {f: [v for g in everything.values() for v in g[row][f]] for f in FIGURES}
                for row in everything["seen"]
            }
        else:
            found = measure(rows, families, given.count, Split(given.split))
        everything[group] = found
        table(group, found)
    if given.json:
        given.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
