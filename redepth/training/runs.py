"""What every training of a refiner shares: its folders, its processes, its bars, its stages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from redepth.training.checkpoints import SUFFIX
from redepth.training.loop import ALONE, Stage, Workers, train
from redepth.training.options import TrainingOptions
from redepth.weights import quieten_libraries

MODEL = "model"
VARIANT = "fp16"
_CHECKPOINTS = "checkpoints"
_VALIDATION = "validation"
Advance = Callable[[str, int, int, float], None]
Check = Callable[[int], None]
_Options = TypeVar("_Options", bound=TrainingOptions)


@dataclass(frozen=True, slots=True)
class Run(Generic[_Options]):
    """Options with what only the process that trains knows.

    Attributes:
        num_processes: that render scenes.
        advance: called with (what, done, of how many, loss).
    """

    options: _Options
    device: torch.device
    workers: Workers = ALONE
    num_processes: int = 1
    advance: Advance = lambda what, done, total, loss: None

    @property
    def out(self) -> Path:
        """The folder that gets model/, checkpoints/ and validation/."""
        return Path(self.options.out)

    @property
    def validation(self) -> Path:
        """The folder that gets figures and pictures of what is kept out."""
        return self.out / _VALIDATION

    def prepare(self) -> None:
        """Make the folder, without what an earlier training saw on its way."""
        quieten_libraries()
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # sums over several threads differ in their last bits
        self.out.mkdir(parents=True, exist_ok=True)
        if not self.options.resume and self.workers.rank == 0 and self.validation.exists():
            shutil.rmtree(self.validation)

    def train(self, stage: Stage, check: Check | None = None) -> list[float]:
        """Train a stage, from its checkpoint if told, and return its losses.

        Args:
            check: called with the number of steps done, now and then and at the end.
        """

        def on_step(step: int, loss: float) -> None:
            self.advance(stage.name, step + 1, stage.num_steps, loss)
            due = (step + 1) % self.options.validate_every == 0 or step + 1 == stage.num_steps
            if check is not None and self.workers.rank == 0 and due:
                check(step + 1)

        return train(
            stage,
            self.out / _CHECKPOINTS / f"{stage.name}{SUFFIX}",
            resume=self.options.resume,
            save_every=self.options.save_every,
            on_step=on_step,
            workers=self.workers,
        )

    def counted(self, what: str, total: int) -> Callable[[int], None]:
        """Return what moves a bar: it is called with how many more are done."""
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            self.advance(what, done, total, 0.0)

        return count
