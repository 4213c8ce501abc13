"""Compile the prior, once for all images: its pictures have one size, whatever the photographs'.

The prior is nearly all of a step's work. What depends on a photograph's shape, decoder and
re-lighting, is not compiled: a collection has many shapes, and each would take minutes.
"""

from __future__ import annotations

from functools import partial

import torch

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior

# Without CUDA graphs: those belong to the thread that captured them, and models are loaded by one
# thread and run by another.
MODE = "max-autotune-no-cudagraphs"


def compile_prior(
    prior: DiffusionPrior,
    settings: ReDepthAnything,
    device: torch.device,
    backend: str = "inductor",
) -> None:
    """Compile encoder and UNet for the batches of a recipe, and run each once.

    So the first image waits no longer than the others, and a machine that cannot compile says so
    before it.

    Args:
        backend: of torch.compile.

    Raises:
        ConfigError: torch cannot compile here.
    """
    mode = MODE if backend == "inductor" else None
    try:
        prior.compile(partial(torch.compile, dynamic=False, backend=backend, mode=mode))
        for num_members in _batches(settings):
            _run(prior, num_members, settings.noise_draws, device)
    except RuntimeError as error:
        raise ConfigError(
            f"labels.refiner.compile is true, and torch cannot compile the prior here: {error}. "
            "Set it to false, or install what torch.compile needs (a C++ compiler, Triton)"
        ) from error


def _batches(settings: ReDepthAnything) -> list[int]:
    """Return the numbers of members that share a step: full groups, and what is left over."""
    full = min(settings.members_per_batch, settings.num_members)
    rest = settings.num_members % full
    return [full, rest] if rest else [full]


def _run(prior: DiffusionPrior, num_members: int, num_draws: int, device: torch.device) -> None:
    """Encode, go back to the picture, and predict, as a step does with so many members."""
    side_px = prior.size_px
    picture = torch.zeros(num_members, 3, side_px, side_px, device=device, requires_grad=True)
    noise = torch.zeros(num_members, *prior.latent_shape, device=device)
    prior.encode(picture, noise).sum().backward()  # type: ignore[no-untyped-call]
    num_judged = 2 * num_draws * num_members
    prior.predict_noise(
        torch.zeros(num_judged, *prior.latent_shape, device=device),
        torch.zeros(num_judged, dtype=torch.int64, device=device),
        prior.embed([""]).repeat_interleave(num_judged, dim=0),
    )
