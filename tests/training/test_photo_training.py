"""What the coarse model for photographs is shown, and what it is asked to match."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from redepth.scenes.photographic import photograph
from redepth.training import CONFIGS
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import learning_rate
from redepth.training.engine.run import SHIPPED, Run
from redepth.training.examples import photographic_scenes
from redepth.training.examples.photographic_scenes import (
    SCENES_A_CHUNK,
    SHARES,
    Photographs,
    read_chunk,
    render_chunk,
    rendering_ahead,
    write_chunk,
)
from redepth.training.mini_models.photo import (
    STAGE,
    cropped,
    large_photo_stage,
    photo_loss,
    photo_stage,
    taken,
)
from redepth.training.mini_models.run import train_mini_models
from redepth.training.mini_models.settings import (
    LargePhotoOptimiser,
    MiniTraining,
    PhotoOptimiser,
)
from tests.training.refiner_samples import Outputs

CPU = torch.device("cpu")


def draws(step: int = 0) -> Draws:
    return step_draws(0, STAGE, step, CPU)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of two small scenes, in place of 64 large ones."""
    monkeypatch.setattr(photographic_scenes, "SHARES", {"room": 1, "street": 1})


@pytest.fixture
def disparity() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 32, 48, generator=generator).cumsum(dim=1) / 32


def test_scale_and_shift_of_disparity_do_not_matter(disparity: torch.Tensor) -> None:
    raw = torch.rand(2, 32, 48, generator=torch.Generator().manual_seed(2))
    once, moved = (photo_loss(raw, d, draws()) for d in (disparity, 0.1 * disparity))
    assert float(once) == pytest.approx(float(moved), rel=1e-4)
    differences = [float(photo_loss(raw, d, draws())) for d in (disparity + 50.0, disparity)]
    assert differences[0] < differences[1] - 0.05  # below 3 % there is no order


def test_the_truth_loses_next_to_nothing(disparity: torch.Tensor) -> None:
    centred = disparity - disparity.mean(dim=(1, 2), keepdim=True)
    raw = 1.5 + 0.5 * centred / centred.abs().mean(dim=(1, 2), keepdim=True)
    flat = torch.full_like(raw, 1.5)
    assert float(photo_loss(raw, disparity, draws())) < 0.02
    assert float(photo_loss(flat, disparity, draws())) > 1.0
    assert photo_loss(3.0 - raw, disparity, draws()) > 2.0 * photo_loss(flat, disparity, draws())


def test_the_order_of_two_depths_counts() -> None:
    """Half near, half far: a map of the wrong order loses 0.3 times its difference more."""
    near_left = torch.ones(1, 32, 32)
    near_left[:, :, 16:] = 0.5
    right, wrong = 1.5 + (near_left - 0.75) * 2, 1.5 - (near_left - 0.75) * 2
    gap = photo_loss(wrong, near_left, draws()) - photo_loss(right, near_left, draws())
    without = 2.0 + 0.5 / 4 * sum(4.0 / (side - 1) for side in (32, 16, 8, 4))
    assert float(gap) == pytest.approx(without + 0.3 * 2.0, rel=0.01)


def test_a_blurred_map_loses_by_its_edges() -> None:
    step = torch.zeros(1, 32, 48)
    step[:, :, 24:] = 1.0
    blurred = nn.functional.avg_pool2d(step[:, None], (1, 9), 1, (0, 4), count_include_pad=False)
    sharp, soft = (photo_loss(1.0 + raw, step, draws()) for raw in (step, blurred[:, 0]))
    assert soft > sharp + 0.1


@pytest.mark.parametrize("size_hw", [(144, 192), (192, 144), (80, 192), (160, 160)])
def test_picture_and_depth_are_cut_alike(size_hw: tuple[int, int]) -> None:
    """A picture whose red is its disparity still is after it was cut and mirrored."""
    ramp = torch.arange(256.0).expand(192, 256)
    rgb = ramp.to(torch.uint8).expand(16, 3, 192, 256)
    scenes = Photographs(rgb, (ramp / 255.0).half().expand(16, 192, 256))
    image, found = cropped(scenes, size_hw, draws())
    assert image.shape == (16, 3, *size_hw)
    assert found.shape == (16, *size_hw)
    torch.testing.assert_close(image[:, 0], found, atol=0.01, rtol=0)
    rises = found[:, 0, -1] > found[:, 0, 0]
    assert rises.any()
    assert not rises.all()


def test_cameras_change_pictures_and_keep_their_range() -> None:
    image = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen = taken(image, draws())
    assert seen.shape == image.shape
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert (seen - image).abs().mean(dim=(1, 2, 3)).min() > 0.01


def test_a_chunk_is_a_function_of_its_number(few: None, tmp_path: Path) -> None:
    path = write_chunk(tmp_path, 3)
    written, rendered = read_chunk(path), render_chunk(3)
    assert torch.equal(written.rgb_n3hw, rendered.rgb_n3hw)
    assert torch.equal(written.disparity_nhw, rendered.disparity_nhw)
    scene = photograph("room", 3)
    np.testing.assert_array_equal(written.rgb_n3hw[0].permute(1, 2, 0), scene.rgb_hw3)
    before = path.stat().st_mtime_ns
    assert write_chunk(tmp_path, 3) == path
    assert path.stat().st_mtime_ns == before


def test_chunks_come_in_their_order_and_those_that_are_there_stay(tmp_path: Path) -> None:
    for number in (0, 1):
        rgb = np.full((SCENES_A_CHUNK, 3, 4, 4), number, np.uint8)
        with (tmp_path / f"{number:05d}.npz").open("wb") as file:
            np.savez(file, rgb=rgb, disparity=np.ones((SCENES_A_CHUNK, 4, 4), np.float16))
    with rendering_ahead(tmp_path, 2, num_processes=1) as chunks:
        assert len(chunks.first(1)) == 1
        assert [int(chunk.rgb_n3hw[0, 0, 0, 0]) for chunk in chunks.first(2)] == [0, 1]


class _Held:
    """Chunks without processes; records how many were asked for."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        rgb = torch.randint(0, 256, (SCENES_A_CHUNK, 3, 24, 32), generator=generator)
        disparity = torch.rand(SCENES_A_CHUNK, 24, 32, generator=generator)
        self.chunk = Photographs(rgb.to(torch.uint8), disparity.half())
        self.asked: list[int] = []

    def first(self, count: int) -> list[Photographs]:
        self.asked.append(count)
        return [self.chunk] * count


def test_a_step_is_a_function_of_the_weights_and_its_number() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Flatten(1, 2))
    chunks = _Held()
    how = PhotoOptimiser(batch_size=2, first_chunks=2, steps_a_chunk=10, num_chunks=4)
    stage = photo_stage(network, chunks, 0, how)
    losses = [float(stage.loss(step).detach()) for step in (0, 0, 1, 10, 1000)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert chunks.asked == [2, 2, 2, 3, 4]


def test_pictures_are_small_first_and_large_after() -> None:
    shown: list[tuple[int, ...]] = []

    class Seen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, rgb_b3hw: torch.Tensor) -> torch.Tensor:
            shown.append(tuple(rgb_b3hw.shape))
            return rgb_b3hw.mean(dim=1) + self.weight

    held = _Held()
    for stage in (
        photo_stage(Seen(), held, 0, PhotoOptimiser(batch_size=3)),
        large_photo_stage(Seen(), [held.chunk], 0, LargePhotoOptimiser(batch_size=2)),
    ):
        for step in range(5):
            stage.loss(step)
    assert [shape[0] for shape in shown] == [3] * 5 + [2] * 5
    assert max(max(shape[2:]) for shape in shown[:5]) <= 112
    assert min(max(shape[2:]) for shape in shown[5:]) >= 160


def test_a_stage_may_end_before_its_schedule() -> None:
    whole, part = PhotoOptimiser(num_steps=300, schedule_steps=None), PhotoOptimiser(num_steps=100)
    assert learning_rate(whole, 150) == pytest.approx(0.5 * 2e-3 * 1.01 * 151 / 200, rel=1e-3)
    same = part.model_copy(update={"schedule_steps": 300, "warm_up_steps": 100})
    full = whole.model_copy(update={"warm_up_steps": 100})
    assert [learning_rate(same, step) for step in range(100)] == [
        learning_rate(full, step) for step in range(100)
    ]


def test_the_command_makes_the_model_that_is_shipped(tmp_path: Path) -> None:
    """Same files, sizes and names of weights; a card that names the command."""
    generator = np.random.default_rng(0)
    (tmp_path / "scenes").mkdir()
    with (tmp_path / "scenes" / "00000.npz").open("wb") as file:
        rgb = generator.integers(0, 256, (SCENES_A_CHUNK, 3, 48, 64), dtype=np.uint8)
        disparity = generator.random((SCENES_A_CHUNK, 48, 64)).astype(np.float16)
        np.savez(file, rgb=rgb, disparity=disparity)
    settings = CONFIGS.load(MiniTraining, "mini-photo", ("steps_scale=0.0005", "device=cpu"))
    (model,) = train_mini_models(Run(settings, tmp_path, Outputs(), CPU))
    made, shipped = model.folder, SHIPPED / "photo"
    assert {path.name for path in made.iterdir()} == {path.name for path in shipped.iterdir()}
    tensors = [load_file(folder / "model.fp16.safetensors") for folder in (made, shipped)]
    first, second = ({n: (w.shape, w.dtype) for n, w in one.items()} for one in tensors)
    assert first == second
    for folder in (made, shipped):
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "Made by `redepth train mini --config mini-photo`" in card


def test_its_config_is_what_the_card_of_the_shipped_one_says() -> None:
    settings = CONFIGS.load(MiniTraining, "mini-photo")
    card = (SHIPPED / "photo" / "README.md").read_text(encoding="utf-8")
    assert settings.models == ("photo",)
    assert f"| seed | {settings.seed} |" in card
    assert f"| photo | {settings.photo.num_steps} steps" in card
    assert f"| photo-large | {settings.photo_large.num_steps} steps" in card
    scenes = ", ".join(f"{n * settings.photo.num_chunks} {family}" for family, n in SHARES.items())
    assert f"| {scenes} |" in card
