"""Which members of a group still run, and how the others ended: kept on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_NEVER = -1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a member stands.

    Attributes:
        step: at which it was stopped; None for one that was not.
        loss: of that step.
        settled_after: steps after which it had slowed down; None for one that had not.
    """

    step: int | None
    loss: float
    settled_after: int | None

    @property
    def reason(self) -> str | None:
        """Why it was stopped, in words; None for a member that came through."""
        if self.step is None:
            return None
        if self.loss - self.loss != 0:  # NaN and infinities alone differ from themselves
            return f"loss is {self.loss} at step {self.step}"
        return f"gradient is not finite at step {self.step}"


class Progress:
    """The standing of M members. Noting it makes no host wait for the device; `read` does.

    Attributes:
        running_m: bool [M].
    """

    def __init__(self, num_members: int, device: torch.device) -> None:
        self.running_m = torch.ones(num_members, dtype=torch.bool, device=device)
        self._stopped_at_m = torch.full((num_members,), _NEVER, device=device)
        self._settled_after_m = torch.full((num_members,), _NEVER, device=device)
        self._loss_m = torch.zeros(num_members, device=device, dtype=torch.float64)

    def stop(self, bad_m: Tensor, loss_m: Tensor, step: int) -> None:
        """Stop the running members that are bad, at this step with this loss."""
        newly_m = self.running_m & bad_m
        self._stopped_at_m = _put(step, self._stopped_at_m, newly_m)
        self._loss_m = torch.where(newly_m, loss_m.double(), self._loss_m)
        self.running_m = self.running_m & ~bad_m

    def settle(self, calm_m: Tensor, step: int) -> None:
        """End the running members that are calm, before this step."""
        newly_m = self.running_m & calm_m
        self._settled_after_m = _put(step, self._settled_after_m, newly_m)
        self.running_m = self.running_m & ~calm_m

    def read(self) -> list[Ending]:
        """Return how each member stands; waits for the device."""
        kept = (self._stopped_at_m, self._loss_m, self._settled_after_m)
        return [
            Ending(_known(stopped), loss, _known(settled))
            for stopped, loss, settled in zip(*(values.tolist() for values in kept), strict=True)
        ]

    def any_runs(self) -> bool:
        """Say whether a member still runs; waits for the device."""
        return bool(self.running_m.any())


def _put(step: int, steps_m: Tensor, where_m: Tensor) -> Tensor:
    """Return the steps with this one in some places; a tensor, as a number would be waited for."""
    return torch.where(where_m, torch.full_like(steps_m, step), steps_m)


def _known(step: int) -> int | None:
    return None if step == _NEVER else step
