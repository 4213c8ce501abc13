"""One training from first to last: its folders, its processes, its progress, its stages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
import yaml

from redepth.datasets.sample import Samples
from redepth.training.engine.checkpoints import SUFFIX, read_recorded
from redepth.training.engine.loop import Checkpointing, Stage, require_same, train
from redepth.training.engine.workers import ALONE, Workers
from redepth.training.examples.samples import CoarseMaps
from redepth.training.examples.teacher_pictures import TeacherPictures
from redepth.training.folders import CHECKPOINTS, VALIDATION
from redepth.training.settings import TrainingSettings
from redepth.weights import quieten_libraries

SETTINGS_NAME = "settings.yaml"
# The models that come with redepth: what the small ones start from.
SHIPPED = Path(__file__).resolve().parents[2] / "models" / "mini"
Progress = Callable[[str, int, int, float], None]
Check = Callable[[int], None]
S = TypeVar("S", bound=TrainingSettings)


class LabelOutputs(Protocol):
    """Outputs of `redepth label`, as a training reads them."""

    def coarse_maps(self, url: str, images: Sequence[str]) -> CoarseMaps:
        """Return what reads the coarse maps of a data set's pictures.

        Raises:
            ConfigError: pictures have none.
        """
        ...

    def photographs(self, url: str) -> tuple[Samples, CoarseMaps]:
        """Return labelled photographs with their metric maps.

        Raises:
            ConfigError: there are none, or their maps are not metric.
        """
        ...

    def teacher(self, urls: Sequence[str], allow: Sequence[str]) -> TeacherPictures:
        """Return photographs with the refined labels of an expensive method.

        Args:
            allow: where photographs may lie, as `Labels.photographs` takes it.

        Raises:
            ConfigError: there are none, or they cannot be learned from together.
        """
        ...


def no_progress(what: str, done: int, total: int, loss: float) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Run(Generic[S]):
    """Settings with what only the process that trains knows.

    Attributes:
        out: the folder that gets model/, checkpoints/, validation/ and settings.yaml.
        outputs: opens outputs of `redepth label`.
        resume: go on from the checkpoints in `out`.
        num_processes: that render scenes; does not affect the scenes.
        progress: called with (what, done, of how many, loss).
    """

    settings: S
    out: Path
    outputs: LabelOutputs
    device: torch.device
    resume: bool = False
    workers: Workers = ALONE
    num_processes: int = 1
    progress: Progress = no_progress

    @property
    def validation(self) -> Path:
        """The folder that gets figures and pictures of what is held out."""
        return self.out / VALIDATION

    def prepare(self) -> None:
        """Make the folder, without what an earlier training wrote on its way; record settings.

        Raises:
            ConfigError: a checkpoint to resume from was begun with other settings; names them.
        """
        quieten_libraries()
        if self.device.type == "cpu":
            torch.set_num_threads(1)  # sums over several threads differ in their last bits
        self.out.mkdir(parents=True, exist_ok=True)
        if self.resume:
            for path in sorted((self.out / CHECKPOINTS).glob(f"*{SUFFIX}")):
                require_same(path, read_recorded(path)["settings"], self._decisive())
        if self.workers.rank:
            return
        if not self.resume and self.validation.exists():
            shutil.rmtree(self.validation)
        values = self.settings.model_dump(mode="json")
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        (self.out / SETTINGS_NAME).write_text(text, encoding="utf-8")

    def train(self, stage: Stage, check: Check | None = None) -> list[float]:
        """Train a stage, from its checkpoint on a resume, and return its losses.

        Args:
            check: called with the number of steps done, now and then and at the end.

        Raises:
            ConfigError: the checkpoint was begun with other settings; names them.
        """
        num_steps = stage.optimiser.num_steps

        def on_step(step: int, loss: float) -> None:
            self.progress(stage.name, step + 1, num_steps, loss)
            due = (step + 1) % self.settings.run.validate_every == 0 or step + 1 == num_steps
            if check is not None and self.workers.rank == 0 and due:
                check(step + 1)

        checkpointing = Checkpointing(
            self.out / CHECKPOINTS / f"{stage.name}{SUFFIX}",
            self.resume,
            self.settings.run.save_every,
            self._decisive(),
        )
        return train(stage, checkpointing, on_step=on_step, workers=self.workers)

    def _decisive(self) -> dict[str, Any]:
        """Return what decides the weights: settings, and the kind of device that they ran on."""
        return self.settings.decisive() | {"device": self.device.type}

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Return what moves a progress bar: it is called with how many more are done."""
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            self.progress(what, done, total, 0.0)

        return count
