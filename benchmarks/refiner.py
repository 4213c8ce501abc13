"""Seconds a member-step of the refiner, against a plain reference loop on the same weights.

Run `python -m benchmarks.refiner`; it prints a Markdown table in about two minutes.

The reference does what a research script does: one process with torch's default threads, one
member at a time, and models, coarse map and prompt made anew for each member
(benchmarks/reference_redepth.py). Ours does what actors do: one process a core with one thread
each, models loaded once, one image a process. Both work on the same images from the same folders
of weights. A core-second is wall time times the cores that are taken. Maps are compared with those
of the reference on one thread: with another thread count, it differs from itself by as much. FLOPs
are counted by torch while one member takes one step.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reference_redepth import reference_member
from redepth.coarse.depth_anything.mini import save_mini_estimator
from redepth.coarse.estimator import DepthEstimator, load_token_estimator
from redepth.coarse.part import Coarse
from redepth.config import LabelSettings
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.refiners.redepth_anything import Prior, ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.refiners.redepth_anything.mini_prior import save_mini_prior
from redepth.refiners.refiner import RefinementInput
from redepth.settings import Compute, Weights
from redepth.types import ByteImage, FloatMap

CORES = len(os.sched_getaffinity(0))
PROMPT = "a photograph"
PICTURES = {"astronaut": data.astronaut, "chelsea": data.chelsea, "coffee": data.coffee}


WAYS: dict[str, dict[str, Any]] = {
    "1 member a step": {"members_per_batch": 1},
    "3 members a step": {"members_per_batch": 3},
    "3 members a step, decoders in one call": {"members_per_batch": 3, "batch_decoders": True},
}


def settings(folder: Path, **changes: Any) -> LabelSettings:
    """Return the mini recipe's shape with weights in folders, as a script would have them."""
    refiner = ReDepthAnything(
        prior=Prior(preset="mini", weights=Weights(folder=str(folder / "prior"))),
        num_members=3,
        num_steps=25,
    ).model_copy(update=changes)
    coarse = Coarse(preset="mini", weights=Weights(folder=str(folder / "coarse")), size_px=252)
    return LabelSettings(coarse=coarse, refiner=refiner, compute=Compute(device="cpu"))


def picture(name: str, estimator: DepthEstimator) -> ByteImage:
    """Return a photograph at the estimator's processing size."""
    rgb_hw3 = PICTURES[name]()
    height_px, width_px = estimator.processing_size(*rgb_hw3.shape[:2])
    size = (width_px, height_px)
    return np.array(Image.fromarray(rgb_hw3).resize(size, Image.Resampling.BICUBIC))


def run_reference(folder: Path, names: list[str]) -> dict[str, FloatMap]:
    """Refine as a script does; return the mean map of each image."""
    chosen = settings(folder)
    refiner = chosen.refiner
    assert isinstance(refiner, ReDepthAnything)
    maps = {}
    for name in names:
        members = []
        for number in range(refiner.num_members):
            device = torch.device("cpu")
            estimator = load_token_estimator(chosen.coarse, device)
            prior = load_prior(refiner.prior, chosen.compute, device)
            place = (chosen.seed, name, number)
            rgb_hw3 = picture(name, estimator)
            member = reference_member(estimator, prior, rgb_hw3, PROMPT, refiner, place)
            members.append(member)
        maps[name] = np.mean(members, axis=0)
    return maps


_labeller: Labeller | None = None


def start_worker(folder: Path, changes: dict[str, Any]) -> None:
    global _labeller  # noqa: PLW0603 - a pool's initialiser has no other place to put it
    _labeller = load_labeller(settings(folder, **changes))


def refine(name: str) -> FloatMap:
    assert _labeller is not None
    rgb_hw3 = picture(name, _labeller.estimator)
    coarse = _labeller.estimator.estimate(rgb_hw3)
    members = _labeller.refiner.refine(RefinementInput(name, rgb_hw3, coarse, PROMPT))
    return members.maps_ehw.mean(axis=0)


def run_ours(
    folder: Path, names: list[str], changes: dict[str, Any]
) -> tuple[dict[str, FloatMap], float]:
    """Refine in one process a core; return the mean maps and the seconds without start-up."""
    context = multiprocessing.get_context("spawn")
    arguments = (folder, changes)
    with ProcessPoolExecutor(CORES, context, start_worker, arguments) as pool:
        list(pool.map(refine, ["astronaut"] * CORES))
        started = time.perf_counter()
        maps = list(pool.map(refine, names))
        return dict(zip(names, maps, strict=True)), time.perf_counter() - started


def flops_of_a_member_step(folder: Path, num_draws: int) -> int:
    """Count one step of one member: decoder, re-lighting and encoder with their gradients, UNet."""
    totals = []
    for num_steps in (1, 2):
        changes = {"num_members": 1, "num_steps": num_steps, "noise_draws": num_draws}
        labeller = load_labeller(settings(folder, **changes))
        rgb_hw3 = picture("astronaut", labeller.estimator)
        scene = RefinementInput("a", rgb_hw3, labeller.estimator.estimate(rgb_hw3), PROMPT)
        with FlopCounterMode(display=False) as counter:
            labeller.refiner.refine(scene)
        totals.append(counter.get_total_flops())
    return totals[1] - totals[0]


def main() -> None:
    names = ["astronaut", "chelsea", "coffee", "astronaut"][: max(2, CORES - CORES % 2)]
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_mini_estimator(folder / "coarse", seed=0)
        save_mini_prior(folder / "prior", seed=0)
        run_reference(folder, names[:1])
        started = time.perf_counter()
        run_reference(folder, names)
        reference_s = time.perf_counter() - started
        torch.set_num_threads(1)
        started = time.perf_counter()
        expected = run_reference(folder, names)
        one_thread_s = time.perf_counter() - started
        num_steps = len(names) * 3 * 25
        print(f"{len(names)} images, 3 members of 25 steps, {CORES} cores\n")
        print("| loop | core-seconds a member-step | times the reference | largest difference |")
        print("|---|---:|---:|---:|")
        print(f"| reference, {CORES} threads | {reference_s * CORES / num_steps:.4f} | 1.00 | |")
        gain = reference_s * CORES / one_thread_s
        print(f"| reference, 1 thread | {one_thread_s / num_steps:.4f} | {gain:.2f} | 0 |")
        for way, changes in WAYS.items():
            maps, seconds = run_ours(folder, names, changes)
            off = max(relative_difference(maps[n], expected[n]) for n in names)
            print(
                f"| redepth, {way} "
                f"| {seconds * CORES / num_steps:.4f} | {reference_s / seconds:.2f} | {off:.1e} |"
            )
        counts = [f"{flops_of_a_member_step(folder, draws) / 1e9:.2f}" for draws in (1, 2)]
        print(f"\n{counts[0]} GFLOP a member-step; with 2 noise draws {counts[1]}")


def relative_difference(ours: FloatMap, theirs: FloatMap) -> float:
    """Return the largest difference as a share of the map's range."""
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


if __name__ == "__main__":
    main()
