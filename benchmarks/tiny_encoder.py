"""How alike the mini prior's gradients are through its own encoder and through the tiny one.

    python -m benchmarks.tiny_encoder --scenes faces=8 --scenes dunes=4

At each scene of the tuning split and each timestep: the cosine between the gradients with respect
to the coarse map, and beside it what another draw changes. It prints a Markdown table, and the
operations of both encoders.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ablation import RECIPE, parse_scenes
from redepth.coarse.estimator import load_token_estimator
from redepth.config import load_recipe
from redepth.lab.encoder_gradients import TIMESTEP_SHARES, GradientBench, Likeness
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split

CPU = torch.device("cpu")
COLUMNS = ("same_latents", "whole", "length", "other_posterior", "other_noise")


def measure(
    scenes: Sequence[tuple[str, int]],
) -> tuple[list[Likeness], DiffusionPrior, DiffusionPrior]:
    """Return the likeness at each scene and timestep, and the priors with either encoder."""
    settings = load_recipe(RECIPE).labels
    method = settings.refiner
    assert isinstance(method, ReDepthAnything), "the mini recipe's method"
    torch.set_num_threads(1)
    full, tiny = (
        load_prior(method.prior.model_copy(update={"encoder": name}), settings.compute, CPU)
        for name in (None, "mini-tiny")
    )
    estimator = load_token_estimator(settings.coarse, CPU)
    bench = GradientBench(method, estimator, full, tiny)
    size_px = settings.coarse.size_px
    found = [
        likeness
        for family, seed in scenes
        for likeness in bench.measure(render_scene(family, seed, size_px, Split.TUNING))
    ]
    return found, full, tiny


def table(found: Sequence[Likeness]) -> str:
    """Return the means, and the tenth percentile of `whole`, by timestep and over all."""
    head = ("t / T", *(name.replace("_", " ") for name in COLUMNS), "whole, worst tenth")
    groups = {f"{t:.2f}": [f for f in found if f.timestep_share == t] for t in TIMESTEP_SHARES}
    rows = [(name, *_figures(group)) for name, group in (groups | {"all": list(found)}).items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _figures(group: Sequence[Likeness]) -> list[str]:
    means = [float(np.mean([getattr(one, name) for one in group])) for name in COLUMNS]
    worst = float(np.quantile([one.whole for one in group], 0.1))
    return [f"{value:.3f}" for value in (*means, worst)]


def megaflops(prior: DiffusionPrior) -> float:
    """Return what encoding a picture costs, forward and backward."""
    picture = torch.zeros(1, 3, prior.size_px, prior.size_px, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        prior.encode(picture, torch.zeros(1, *prior.latent_shape)).sum().backward()
    return float(counter.get_total_flops()) / 1e6


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenes", type=parse_scenes, action="append", required=True)
    scenes = [scene for family in parser.parse_args().scenes for scene in family]
    found, full, tiny = measure(scenes)
    print(f"{len(scenes)} tuning scenes, {len(TIMESTEP_SHARES)} timesteps each\n\n{table(found)}\n")
    print(f"encoders, forward and backward: {megaflops(full):.0f} and {megaflops(tiny):.0f} MFLOP")


if __name__ == "__main__":
    main()
