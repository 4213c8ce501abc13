"""A member-step of Re-Depth Anything at its real size, on a GPU: milliseconds and memory.

    python -m benchmarks.full_size

The architectures are those of the recipe redepth-anything (Depth Anything V2 Small at 518 px,
Stable Diffusion 1.5 at 512 px), the weights are random: a step costs the same whatever they are.
Beside the recipe's own way stand its settings that change a step's cost.
"""

from __future__ import annotations

import sys
import time
from itertools import product

import numpy as np
import torch

from benchmarks.random_weights import depth_anything_small, stable_diffusion
from redepth.coarse import coarse_models
from redepth.coarse.depth_anything.network import DepthAnything
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.compiling import compile_prior
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.picture_encoder import PosteriorEncoder
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.types import ModelCard

WIDTH_PX, HEIGHT_PX = 518, 392
NUM_WARM_UP, NUM_STEPS = 5, 25
MEMBERS_PER_STEP = (1, 3, 5, 10)
WAYS: dict[str, dict[str, object]] = {
    "as it comes": {},
    "decoders one by one": {"batch_decoders": False},
    "2 noise draws": {"noise_draws": 2},
    "compiled": {"compile": True},
}
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
        "| dtype | way | members a step | ms a member-step | s an image of 10 x 1000 "
        "| peak memory (GB) |"
    )
    print("|---|---|---:|---:|---:|---:|")
    for dtype, (way, changes) in product((torch.float16, torch.bfloat16), WAYS.items()):
        for members in MEMBERS_PER_STEP:
            settings = ReDepthAnything(num_members=members, members_per_batch=members)
            settings = settings.model_copy(update=changes)
            encoder = PosteriorEncoder(parts.vae, 512, dtype, device)
            prior = DiffusionPrior(parts, encoder, CARD, 512, dtype, device)
            if settings.compile:
                compile_prior(prior, settings, device)
            milliseconds, peak_gb = _measure(settings, estimator, prior, scene, device)
            name = str(dtype).removeprefix("torch.")
            figures = (members, f"{milliseconds:.1f}", f"{10 * milliseconds:.0f}", f"{peak_gb:.1f}")
            print("|", name, "|", way, *(f"| {figure}" for figure in figures), "|", flush=True)


def _measure(
    settings: ReDepthAnything,
    estimator: DepthAnything,
    prior: DiffusionPrior,
    scene: RefinementInput,
    device: torch.device,
) -> tuple[float, float]:
    """Return ms a member-step (slope between two runs) and peak memory in GB."""
    seconds = []
    torch.cuda.reset_peak_memory_stats()
    for num_steps in (NUM_WARM_UP, NUM_WARM_UP, NUM_WARM_UP + NUM_STEPS):
        shorter = settings.model_copy(update={"num_steps": num_steps})
        refiner = ReDepthAnythingRefiner(shorter, 0, estimator, prior, None, device)
        started = time.perf_counter()
        found = refiner.refine(scene)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        assert not found.stopped, found.stopped
    _, short_s, long_s = seconds
    per_member_step = (long_s - short_s) / (NUM_STEPS * settings.num_members)
    return 1e3 * per_member_step, torch.cuda.max_memory_allocated() / 1e9


if __name__ == "__main__":
    main()
