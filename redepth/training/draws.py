"""The random draws of one training step, from where the step is alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Draws:
    """Generators of one step.

    Attributes:
        host: on the CPU, for draws that decide what is computed: sizes, scenes.
        device: where the training runs, for everything that is large. On a CPU the same kind of
            generator; another device draws other numbers, and the same ones each time.
    """

    host: torch.Generator
    device: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """Draw from [0, 1) on the device."""
        return torch.rand(*shape, generator=self.device, device=self.device.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal on the device."""
        return torch.randn(*shape, generator=self.device, device=self.device.device)

    def integer(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included, on the CPU."""
        return int(torch.randint(low, high + 1, (), generator=self.host))


def step_draws(seed: int, stage: str, step: int, device: torch.device) -> Draws:
    """Return the generators of a step: what is drawn is a function of the arguments."""
    own = torch.Generator(device)
    own.manual_seed(step_generator(seed, f"{stage} on the device", step).initial_seed())
    return Draws(step_generator(seed, stage, step), own)


def step_generator(seed: int, stage: str, step: int, device: torch.device = CPU) -> torch.Generator:
    """Return the generator of one training step: what it draws is a function of where it is."""
    digest = hashlib.sha256(f"train\x1f{stage}\x1f{seed}\x1f{step}".encode()).digest()
    place = int.from_bytes(digest[:8], "big", signed=True)
    return torch.Generator(device).manual_seed(place)


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw from U(0, 1), float32, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw from the standard normal distribution, float32, on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)
