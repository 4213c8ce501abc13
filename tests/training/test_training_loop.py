"""The training loop: schedule, checkpoints, and a resume that changes no bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from redepth.errors import ConfigError
from redepth.training.draws import step_generator
from redepth.training.engine.checkpoints import read_checkpoint, write_checkpoint
from redepth.training.engine.loop import Checkpointing, Stage, learning_rate, train
from redepth.training.engine.workers import Workers
from redepth.training.examples.scene_pool import ScenePool, render_pool
from redepth.training.mini_models.depth import depth_stage, new_depth_net
from redepth.training.settings import Optimiser

NUM_STEPS = 6
FAMILIES = ("lumps", "gaussians", "saddles", "swells", "pebbles", "solids")


def how(num_steps: int) -> Optimiser:
    return Optimiser(num_steps=num_steps, batch_size=8, learning_rate=0.1)


def toy(num_steps: int = NUM_STEPS) -> Stage:
    """Fit a line; what a step sees depends on the step alone."""
    torch.manual_seed(0)
    network = nn.Linear(3, 1)

    def loss(step: int) -> Tensor:
        x = torch.randn(8, 3, generator=step_generator(0, "toy", step))
        error: Tensor = network(x) - x.sum(dim=1, keepdim=True)
        return error.square().mean()

    return Stage("toy", network, loss, how(num_steps))


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
    losses = train(toy(300), Checkpointing(tmp_path / "c.pt"))
    assert losses[-1] < 1e-3 * losses[0]


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_interrupted_and_resumed_is_not_interrupted(tmp_path: Path, stop_at: int) -> None:
    whole, first, second = toy(), toy(), toy()
    expected = train(whole, Checkpointing(tmp_path / "whole.pt"))
    train(first, Checkpointing(tmp_path / "c.pt"), stop_at=stop_at)
    torch.rand(7)  # what else draws from the global generator is ignored
    losses = train(second, Checkpointing(tmp_path / "c.pt", resume=True))
    assert losses == expected
    assert_same(whole, second)


def test_the_depth_net_resumes_bit_for_bit(tmp_path: Path, pool: ScenePool) -> None:
    torch.set_num_threads(1)

    def stage() -> Stage:
        return depth_stage(
            new_depth_net(seed=0), pool, 0, Optimiser(num_steps=3, batch_size=8, learning_rate=1e-3)
        )

    whole, second = stage(), stage()
    expected = train(whole, Checkpointing(tmp_path / "whole.pt"))
    train(stage(), Checkpointing(tmp_path / "c.pt"), stop_at=2)
    assert train(second, Checkpointing(tmp_path / "c.pt", resume=True)) == expected
    assert_same(whole, second)


def test_without_resume_it_begins_anew(tmp_path: Path) -> None:
    train(toy(), Checkpointing(tmp_path / "c.pt"), stop_at=3)
    assert len(train(toy(), Checkpointing(tmp_path / "c.pt"))) == NUM_STEPS


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(toy(), Checkpointing(tmp_path / "c.pt"), stop_at=2)
    with pytest.raises(
        ConfigError, match=r"begun with other settings: optimiser\.num_steps: 6 -> 9"
    ):
        train(toy(9), Checkpointing(tmp_path / "c.pt", resume=True))


@pytest.mark.parametrize(
    ("settings", "workers", "said"),
    [
        ({"seed": 1, "pairing": {"patch_px": 8}}, 1, "settings.seed: 0 -> 1"),
        ({"seed": 0, "pairing": {"patch_px": 4}}, 1, "settings.pairing.patch_px: 8 -> 4"),
        ({"seed": 0, "pairing": {"patch_px": 8}}, 2, "workers: 1 -> 2"),
    ],
)
def test_a_checkpoint_begun_with_other_settings_is_refused_by_name(
    tmp_path: Path, settings: dict[str, object], workers: int, said: str
) -> None:
    path = tmp_path / "c.safetensors"
    begun = {"seed": 0, "pairing": {"patch_px": 8}}
    train(toy(), Checkpointing(path, settings=begun), stop_at=2)
    now = Checkpointing(path, resume=True, settings=settings)
    with pytest.raises(ConfigError, match=re.escape(said)):
        train(toy(), now, workers=Workers(count=workers))
    assert len(train(toy(), Checkpointing(path, resume=True, settings=begun))) == NUM_STEPS


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate(how(1000), step) for step in range(1000)]
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
        train(toy(), Checkpointing(path, resume=True))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match="no checkpoint of this training"):
        read_checkpoint(path)
