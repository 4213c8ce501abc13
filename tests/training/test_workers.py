"""Two processes that `accelerate launch` would start: each draws for itself, both end the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from redepth.training.draws import step_generator
from redepth.training.engine.loop import Checkpointing, Stage, train
from redepth.training.engine.workers import joined_workers
from redepth.training.settings import Optimiser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PORT = "18390"
SCRIPT = "from tests.training.test_workers import work; work()"


def toy(accumulate: int = 1) -> Stage:
    torch.manual_seed(0)
    network = nn.Linear(3, 1).double()

    def loss(draw: int) -> Tensor:
        x = torch.randn(8, 3, generator=step_generator(0, "toy", draw)).double()
        error: Tensor = network(x) - x.sum(dim=1, keepdim=True)
        return error.square().mean()

    optimiser = Optimiser(num_steps=5, batch_size=8, learning_rate=0.1, accumulate=accumulate)
    return Stage("toy", network, loss, optimiser)


def work() -> None:
    """Train in one of several processes; each writes what it ended with."""
    out, stage = Path(os.environ["OUT"]), toy()
    with joined_workers(torch.device("cpu")) as (workers, _):
        train(stage, Checkpointing(out / "c.pt"), workers=workers)
        torch.save(stage.network.state_dict(), out / f"{workers.rank}.pt")
    assert not torch.distributed.is_initialized()
    assert not communication_threads(), "they abort a process that ends before them"


def communication_threads() -> list[str]:
    """Return the names of this process's threads that torch talks to other processes with."""
    names = (Path(task, "comm").read_text() for task in Path("/proc/self/task").iterdir())
    return [name.strip() for name in names if "gloo" in name]


def test_two_processes_are_one_that_accumulates_both_their_draws(tmp_path: Path) -> None:
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": PORT,
              "ACCELERATE_USE_CPU": "true", "OUT": str(tmp_path)}  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(240) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    alone = toy(accumulate=2)
    train(alone, Checkpointing(tmp_path / "alone.pt"))
    for name, weight in alone.network.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight)
