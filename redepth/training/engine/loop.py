"""One training loop for all stages: AdamW, warm-up and decay, checkpoints from which it resumes.

All randomness of a step comes from (seed, stage, step), so weights, optimiser and losses so far are
the whole state: a training that was interrupted ends with the bits of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from redepth.config import differences
from redepth.errors import ConfigError
from redepth.training.engine.checkpoints import (
    RECORDED,
    read_checkpoint,
    read_recorded,
    write_checkpoint,
)
from redepth.training.engine.ema import ExponentialMovingAverage
from redepth.training.engine.workers import ALONE, Workers
from redepth.training.settings import Optimiser, Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Something to train.

    Attributes:
        name: of the stage, of its checkpoint, and part of the seed of its draws.
        network: holds every parameter that is trained.
        loss: step -> scalar with gradient; a function of the step and the weights alone.
    """

    name: str
    network: nn.Module
    loss: Callable[[int], Tensor]
    optimiser: Optimiser


def do_nothing(step: int, loss: float) -> None:
    """Take a step's loss and do nothing."""


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """Where a stage's checkpoint is, and when it is used.

    Attributes:
        path: of the file.
        resume: go on from it, if it is there.
        save_every: steps; it is written at the end as well.
        settings: what decides the weights; recorded, and compared on a resume.
    """

    path: Path
    resume: bool = False
    save_every: int = 200
    settings: Mapping[str, Any] = field(default_factory=dict)


def train(
    stage: Stage,
    checkpointing: Checkpointing,
    *,
    stop_at: int | None = None,
    on_step: Callable[[int, float], None] = do_nothing,
    workers: Workers = ALONE,
) -> list[float]:
    """Train a stage, in place, and return the loss of every step.

    Args:
        stop_at: end after this many steps, as an interruption would.
        workers: who trains together; every one of them calls this.

    Raises:
        ConfigError: the checkpoint is of another stage, or was begun with other settings.
    """
    how = stage.optimiser
    recorded = _recorded(stage, checkpointing, workers)
    optimiser = torch.optim.AdamW(
        stage.network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
    )
    average = None
    if how.ema_decay is not None:
        average = ExponentialMovingAverage(stage.network, how.ema_decay)
    found = checkpointing.resume and checkpointing.path.exists()
    losses = _load(checkpointing.path, recorded, stage, optimiser, average) if found else []
    last = min(how.num_steps, stop_at or how.num_steps)
    stage.network.train()
    for step in range(len(losses), last):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(how, step)
        optimiser.zero_grad(set_to_none=True)
        losses.append(_add_gradients(stage, step, workers))
        nn.utils.clip_grad_norm_(stage.network.parameters(), how.max_gradient_norm)
        optimiser.step()
        if average is not None:
            average.update(stage.network)
        on_step(step, losses[-1])
        due = len(losses) % checkpointing.save_every == 0 or len(losses) == last
        if workers.rank == 0 and due:
            _save(checkpointing.path, recorded, stage, optimiser, average, losses)
    if average is not None and last == how.num_steps:
        average.copy_to(stage.network)
    stage.network.eval()
    return losses


def _add_gradients(stage: Stage, step: int, workers: Workers) -> float:
    """Draw, go backwards, average; return this process's loss.

    With one draw a step and one process, the number of a draw is the step.
    """
    total, accumulate = 0.0, stage.optimiser.accumulate
    for turn in range(accumulate):
        number = (step * accumulate + turn) * workers.count + workers.rank
        loss = stage.loss(number) / accumulate
        torch.autograd.backward(loss)
        total += float(loss.detach())
    if workers.count > 1:
        for parameter in stage.network.parameters():
            if parameter.grad is not None:
                parameter.grad = workers.mean(parameter.grad)
    return total


def learning_rate(how: Optimiser, step: int) -> float:
    """Rise over the first steps, then fall to a hundredth as the schedule says.

    A stage of fewer steps than its schedule ends on the way down.
    """
    warm = min(1.0, (step + 1) / min(how.warm_up_steps, how.num_steps))
    share = step / (how.schedule_steps or how.num_steps)
    if how.schedule is Schedule.EXPONENTIAL:
        return how.learning_rate * warm * float(0.01**share)
    fall = 0.5 * (1.0 + math.cos(math.pi * share))
    return how.learning_rate * warm * (0.01 + 0.99 * fall)


def require_same(path: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume a training with other settings.

    Raises:
        ConfigError: names each that differs.
    """
    changed = differences(begun, now)
    if changed:
        raise ConfigError(
            f"{path} was begun with other settings: {'; '.join(changed)}. Resume with the settings "
            "it was begun with, or leave --resume out and train anew"
        )


def _recorded(stage: Stage, checkpointing: Checkpointing, workers: Workers) -> dict[str, Any]:
    """Return what a checkpoint must agree on, for its bits to be those of this training."""
    return {
        "stage": stage.name,
        "optimiser": stage.optimiser.model_dump(mode="json"),
        "workers": workers.count,
        "settings": dict(checkpointing.settings),
    }


def _save(
    path: Path,
    recorded: Mapping[str, Any],
    stage: Stage,
    optimiser: torch.optim.Optimizer,
    average: ExponentialMovingAverage | None,
    losses: list[float],
) -> None:
    state = {
        RECORDED: recorded,
        "network": stage.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "average": None if average is None else average.state(),
        "losses": losses,
    }
    write_checkpoint(path, state)


def _load(
    path: Path,
    recorded: Mapping[str, Any],
    stage: Stage,
    optimiser: torch.optim.Optimizer,
    average: ExponentialMovingAverage | None,
) -> list[float]:
    require_same(path, read_recorded(path), recorded)
    state = read_checkpoint(path)
    stage.network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    if average is not None:
        average.load(state["average"])
    losses: list[float] = state["losses"]
    return losses
