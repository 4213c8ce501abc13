"""One training loop for all stages: AdamW, warm-up and cosine, checkpoints from which it goes on.

All randomness of a step comes from (seed, stage, step), so weights, optimiser and losses so far are
the whole state: a training that was interrupted ends with the bits of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from torch import Tensor, nn

from redepth.errors import ConfigError
from redepth.training.checkpoints import read_checkpoint, write_checkpoint

WARM_UP_STEPS = 50


class Schedule(StrEnum):
    """How the learning rate falls to a hundredth after the warm-up.

    COSINE: along half a cosine. EXPONENTIAL: by the same factor each step.
    """

    COSINE = "cosine"
    EXPONENTIAL = "exponential"


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Something to train.

    Attributes:
        name: of the stage, of its checkpoint, and part of the seed of its draws.
        network: holds every parameter that is trained.
        loss: step -> scalar with gradient; a function of the step and the weights alone.
        num_steps: of the whole schedule.
        learning_rate: AdamW's, at its peak.
        ema_decay: of the running mean of the weights, which the network holds in the end; None
            keeps the last weights.
        accumulate: draws whose gradients are averaged before a step.
    """

    name: str
    network: nn.Module
    loss: Callable[[int], Tensor]
    num_steps: int
    learning_rate: float
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    schedule: Schedule = Schedule.COSINE
    ema_decay: float | None = None
    accumulate: int = 1


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that train one network together: each draws for itself, gradients are averaged.

    Attributes:
        rank: of this process; the first one writes the checkpoints.
        count: of all.
        mean: of a tensor over the processes.
    """

    rank: int = 0
    count: int = 1
    mean: Callable[[Tensor], Tensor] = lambda tensor: tensor


ALONE = Workers()


def train(
    stage: Stage,
    checkpoint: Path,
    *,
    resume: bool = False,
    stop_at: int | None = None,
    save_every: int = 200,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    workers: Workers = ALONE,
) -> list[float]:
    """Train a stage, in place, and return the loss of every step.

    Args:
        checkpoint: written every `save_every` steps and at the end.
        resume: go on from the checkpoint, if there is one.
        stop_at: end after this many steps, as an interruption would.
        workers: who trains together; every one of them calls this.

    Raises:
        ConfigError: the checkpoint is of another stage or another number of steps.
    """
    optimiser = torch.optim.AdamW(
        stage.network.parameters(), lr=stage.learning_rate, weight_decay=stage.weight_decay
    )
    average = None if stage.ema_decay is None else Average(stage.network, stage.ema_decay)
    found = resume and checkpoint.exists()
    losses = _load(checkpoint, stage, optimiser, average) if found else []
    last = min(stage.num_steps, stop_at or stage.num_steps)
    stage.network.train()
    for step in range(len(losses), last):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(stage, step)
        optimiser.zero_grad(set_to_none=True)
        losses.append(_add_gradients(stage, step, workers))
        nn.utils.clip_grad_norm_(stage.network.parameters(), stage.max_gradient_norm)
        optimiser.step()
        if average is not None:
            average.update(stage.network)
        on_step(step, losses[-1])
        if workers.rank == 0 and (len(losses) % save_every == 0 or len(losses) == last):
            _save(checkpoint, stage, optimiser, average, losses)
    if average is not None and last == stage.num_steps:
        average.copy_to(stage.network)
    stage.network.eval()
    return losses


def _add_gradients(stage: Stage, step: int, workers: Workers) -> float:
    """Draw, go backwards, average; return this process's loss.

    With one draw a step and one process, the number of a draw is the step.
    """
    total = 0.0
    for turn in range(stage.accumulate):
        number = (step * stage.accumulate + turn) * workers.count + workers.rank
        loss = stage.loss(number) / stage.accumulate
        torch.autograd.backward(loss)
        total += float(loss.detach())
    if workers.count > 1:
        for parameter in stage.network.parameters():
            if parameter.grad is not None:
                parameter.grad = workers.mean(parameter.grad)
    return total


def learning_rate(stage: Stage, step: int) -> float:
    """Rise over the first steps, then fall to a hundredth as the schedule says."""
    warm = min(1.0, (step + 1) / min(WARM_UP_STEPS, stage.num_steps))
    share = step / stage.num_steps
    if stage.schedule is Schedule.EXPONENTIAL:
        return stage.learning_rate * warm * float(0.01**share)
    fall = 0.5 * (1.0 + math.cos(math.pi * share))
    return stage.learning_rate * warm * (0.01 + 0.99 * fall)


class Average:
    """The running mean of a network's weights: decay * mean + (1 - decay) * weights, each step."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._means = [p.detach().clone() for p in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take a step's weights in."""
        weights = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(self._means, weights, 1.0 - self._decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Write the mean into the network."""
        for parameter, mean in zip(network.parameters(), self._means, strict=True):
            parameter.copy_(mean)

    def state(self) -> list[Tensor]:
        """Return the means, in the order of the network's parameters."""
        return self._means

    def load(self, means: list[Tensor]) -> None:
        """Go on from means that `state` returned."""
        for own, mean in zip(self._means, means, strict=True):
            own.copy_(mean)


def _save(
    path: Path,
    stage: Stage,
    optimiser: torch.optim.Optimizer,
    average: Average | None,
    losses: list[float],
) -> None:
    state = {
        "stage": stage.name,
        "num_steps": stage.num_steps,
        "network": stage.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": None if average is None else average.state(),
        "losses": losses,
    }
    write_checkpoint(path, state)


def _load(
    path: Path, stage: Stage, optimiser: torch.optim.Optimizer, average: Average | None
) -> list[float]:
    state = read_checkpoint(path)
    if (state["stage"], state["num_steps"]) != (stage.name, stage.num_steps):
        raise ConfigError(
            f"{path} is of stage {state['stage']} with {state['num_steps']} steps, expected "
            f"{stage.name} with {stage.num_steps}: resume with the settings it was begun with"
        )
    stage.network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    if average is not None:
        average.load(state["average"])
    losses: list[float] = state["losses"]
    return losses
