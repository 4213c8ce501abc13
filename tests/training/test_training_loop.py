"""The training loop: schedule, checkpoints, and a resume that changes no bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from redepth.errors import ConfigError
from redepth.training.checkpoints import read_checkpoint, write_checkpoint
from redepth.training.loop import Stage, learning_rate, train
from redepth.training.mini_depth import depth_stage, new_depth_net
from redepth.training.pool import ScenePool, render_pool, step_generator
from redepth.training.schedules import StageSchedule

NUM_STEPS = 6
FAMILIES = ("lumps", "gaussians", "saddles", "swells", "pebbles", "solids")


def toy(num_steps: int = NUM_STEPS) -> Stage:
    """Fit a line; what a step sees depends on the step alone."""
    torch.manual_seed(0)
    network = nn.Linear(3, 1)

    def loss(step: int) -> Tensor:
        x = torch.randn(8, 3, generator=step_generator(0, "toy", step))
        error: Tensor = network(x) - x.sum(dim=1, keepdim=True)
        return error.square().mean()

    return Stage("toy", network, loss, num_steps, learning_rate=0.1)


@pytest.fixture(scope="module")
def pool() -> ScenePool:
    return render_pool(dict.fromkeys(FAMILIES, 2))


def weights(stage: Stage) -> list[Tensor]:
    return list(stage.network.state_dict().values())


def assert_same(first: Stage, second: Stage) -> None:
    pairs = list(zip(weights(first), weights(second), strict=True))
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)


def test_it_learns(tmp_path: Path) -> None:
    losses = train(toy(300), tmp_path / "c.pt")
    assert losses[-1] < 1e-3 * losses[0]


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_interrupted_and_resumed_is_not_interrupted(tmp_path: Path, stop_at: int) -> None:
    whole, first, second = toy(), toy(), toy()
    expected = train(whole, tmp_path / "whole.pt")
    train(first, tmp_path / "c.pt", stop_at=stop_at)
    torch.rand(7)  # what else draws from the global generator takes no part
    losses = train(second, tmp_path / "c.pt", resume=True)
    assert losses == expected
    assert_same(whole, second)


def test_the_depth_net_resumes_bit_for_bit(tmp_path: Path, pool: ScenePool) -> None:
    torch.set_num_threads(1)

    def stage() -> Stage:
        return depth_stage(new_depth_net(seed=0), pool, 0, StageSchedule(3, 8, 1e-3))

    whole, second = stage(), stage()
    expected = train(whole, tmp_path / "whole.pt")
    train(stage(), tmp_path / "c.pt", stop_at=2)
    assert train(second, tmp_path / "c.pt", resume=True) == expected
    assert_same(whole, second)


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    train(toy(), tmp_path / "c.pt", stop_at=3)
    assert len(train(toy(), tmp_path / "c.pt")) == NUM_STEPS


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(toy(), tmp_path / "c.pt", stop_at=2)
    with pytest.raises(ConfigError, match="6 steps, expected toy with 9"):
        train(toy(9), tmp_path / "c.pt", resume=True)


def test_the_rate_rises_and_falls() -> None:
    stage = replace(toy(), num_steps=1000)
    rates = [learning_rate(stage, step) for step in range(1000)]
    peak = rates.index(max(rates))
    assert 30 < peak < 60
    assert rates[0] < 0.05 * rates[peak]
    assert rates[-1] < 0.02 * rates[peak]


def test_a_checkpoint_is_read_back_bit_for_bit_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    shared = torch.tensor([1.5, float("nan")])
    values = {"a": {0: {"step": shared, "b": [shared[:1], None]}}, "losses": [0.1, 1e-300], "n": 3}
    write_checkpoint(path, values)
    found = read_checkpoint(path)
    assert found["losses"] == values["losses"] and found["n"] == 3
    assert torch.equal(found["a"][0]["step"].view(torch.int32), shared.view(torch.int32))
    assert found["a"][0]["b"][1] is None

    torch.save(values, path)
    with pytest.raises(ConfigError, match="no checkpoint of this training"):
        train(toy(), path, resume=True)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match="no checkpoint of this training"):
        read_checkpoint(path)
