"""How long each stage of the mini models is trained, on a CPU and on a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, slots=True)
class StageSchedule:
    """Steps, scenes a step, and AdamW's rate at its peak."""

    num_steps: int
    batch_size: int
    learning_rate: float

    def times(self, steps_scale: float) -> StageSchedule:
        """Return the schedule with its steps scaled, one at least."""
        return replace(self, num_steps=max(1, round(self.num_steps * steps_scale)))


@dataclass(frozen=True, slots=True)
class MiniSchedule:
    """The three stages; `scenes_scale` is times the scenes that each module's NUM_SCENES names."""

    depth: StageSchedule
    vae: StageSchedule
    prior: StageSchedule
    scenes_scale: float = 1.0

    def times(self, steps_scale: float) -> MiniSchedule:
        """Return the schedule with its steps scaled; below 1, its scenes as well."""
        return MiniSchedule(
            self.depth.times(steps_scale),
            self.vae.times(steps_scale),
            self.prior.times(steps_scale),
            self.scenes_scale * min(1.0, steps_scale),
        )


ON_CPU = MiniSchedule(
    depth=StageSchedule(1800, 32, 1e-3),
    vae=StageSchedule(1500, 8, 2e-3),
    prior=StageSchedule(5600, 32, 6e-4),
)
# A step costs a GPU the time to be launched, whatever its batch: larger batches are free.
ON_GPU = MiniSchedule(
    depth=StageSchedule(4000, 64, 1e-3),
    vae=StageSchedule(2000, 64, 2e-3),
    prior=StageSchedule(6000, 256, 1e-3),
    scenes_scale=4.0,
)


def schedule_of(device: torch.device) -> MiniSchedule:
    """Return the schedule for a device: under two hours on a CPU, 20 minutes on a GPU."""
    return ON_CPU if device.type == "cpu" else ON_GPU
