"""A member-step of Re-Depth Anything at its real size, on a GPU: milliseconds and memory.

    python -m benchmarks.full_size

The architectures are those of the recipe redepth-anything (Depth Anything V2 Small at 518 px,
Stable Diffusion 1.5 at 512 px), the weights are random: a step costs the same whatever they are.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.random_weights import depth_anything_small, stable_diffusion
from redepth.coarse import coarse_models
from redepth.coarse.depth_anything.network import DepthAnything
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.picture_encoder import PosteriorEncoder
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.types import ModelCard

WIDTH_PX, HEIGHT_PX = 518, 392
NUM_WARM_UP, NUM_STEPS = 5, 25
MEMBERS_PER_STEP = (1, 3, 5, 10)
CARD = ModelCard(role="random", name="random", source="seed 0", revision=None, sha256="0" * 64,
                 licence="none", untrained=True)  # fmt: skip


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA GPU")
    device = torch.device("cuda")
    torch.manual_seed(0)
    with torch.device(device):
        estimator = DepthAnything(
            depth_anything_small(), CARD, coarse_models["depth-anything-v2-small"], 518, device
        )
        parts = stable_diffusion()
    rgb_hw3 = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    scene = RefinementInput("image", rgb_hw3, estimator.estimate(rgb_hw3), "a photograph")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {WIDTH_PX} x {HEIGHT_PX} px")
    print(
        "| dtype | members a step | ms a member-step | s an image of 10 x 1000 | peak memory (GB) |"
    )
    print("|---|---:|---:|---:|---:|")
    for dtype in (torch.float16, torch.bfloat16):
        encoder = PosteriorEncoder(parts.vae, 512, dtype, device)
        prior = DiffusionPrior(parts, encoder, CARD, 512, dtype, device)
        for members, milliseconds, peak_gb in _measure(estimator, prior, scene, device):
            name = str(dtype).removeprefix("torch.")
            figures = (members, f"{milliseconds:.1f}", f"{10 * milliseconds:.0f}", f"{peak_gb:.1f}")
            print("|", name, *(f"| {figure}" for figure in figures), "|", flush=True)


def _measure(
    estimator: DepthAnything, prior: DiffusionPrior, scene: RefinementInput, device: torch.device
) -> Iterator[tuple[int, float, float]]:
    """Yield members a step, ms a member-step (slope between two runs) and peak memory in GB."""
    _refine(estimator, prior, scene, device, members=1, num_steps=NUM_WARM_UP)
    for members in MEMBERS_PER_STEP:
        torch.cuda.reset_peak_memory_stats()
        seconds = []
        for num_steps in (NUM_WARM_UP, NUM_WARM_UP + NUM_STEPS):
            started = time.perf_counter()
            _refine(estimator, prior, scene, device, members, num_steps)
            seconds.append(time.perf_counter() - started)
        per_member_step = (seconds[1] - seconds[0]) / (NUM_STEPS * members)
        yield members, 1e3 * per_member_step, torch.cuda.max_memory_allocated() / 1e9


def _refine(
    estimator: DepthAnything,
    prior: DiffusionPrior,
    scene: RefinementInput,
    device: torch.device,
    members: int,
    num_steps: int,
) -> None:
    settings = ReDepthAnything(num_members=members, members_per_batch=members, num_steps=num_steps)
    found = ReDepthAnythingRefiner(settings, 0, estimator, prior, None, device).refine(scene)
    torch.cuda.synchronize()
    assert not found.stopped, found.stopped


if __name__ == "__main__":
    main()
