"""A picture's map does not depend on the pictures that share its batch, nor on its place there.

Exact equality, for every network at toy size. What the size of a batch itself does to the last bits
is allowed, and bounded here: it belongs to the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.random_weights import depth_anything_small
from redepth.coarse.batches import BatchEstimator, EstimateOutcome, estimate_all
from redepth.coarse.estimator import DepthEstimator, TokenMaps, load_estimator
from redepth.coarse.part import Coarse
from redepth.coarse.pictures import stack_pictures
from redepth.errors import RefinementFailed
from redepth.settings import Weights
from redepth.types import ByteImage, CoarseDepth
from tests.coarse.tiny_networks import (
    save_depth_pro,
    save_dpt,
    save_marigold,
    save_tips,
    save_zoedepth,
)

CPU = torch.device("cpu")
SIZE_HW = (48, 64)
WHITE = np.full((*SIZE_HW, 3), 255, np.uint8)
BLACK = np.zeros((*SIZE_HW, 3), np.uint8)

FOLDERS: dict[str, Callable[[Path], Path]] = {
    "dpt-large": save_dpt,
    "depth-pro": save_depth_pro,
    "zoedepth": save_zoedepth,
    "tipsv2-dpt-base": save_tips,
    "marigold": save_marigold,
}
PACKAGED = ("mini", "mini-metric", "mini-dpt", "mini-photo")


@pytest.fixture(scope="module", params=[*PACKAGED, *FOLDERS])
def estimator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> DepthEstimator:
    preset = str(request.param)
    weights = Weights()
    if preset in FOLDERS:
        weights = Weights(folder=str(FOLDERS[preset](tmp_path_factory.mktemp(preset))))
    return load_estimator(Coarse(preset=preset, weights=weights, size_px=64), CPU)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads cut a batch within an image; `Compute` refuses them together with batches."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(seed: int) -> ByteImage:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)


def ramp() -> ByteImage:
    columns = np.linspace(0, 255, SIZE_HW[1]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (*SIZE_HW, 3)))


def content(outcome: EstimateOutcome) -> tuple[object, ...]:
    """Return all that a picture's outcome says, bit for bit."""
    assert isinstance(outcome, CoarseDepth)
    tokens: list[Tensor] = []
    if isinstance(outcome.features, TokenMaps):
        tokens = [*outcome.features.patch_tokens, *outcome.features.class_tokens]
    return (
        outcome.map_hw.tobytes(),
        outcome.focal_px,
        outcome.far_limit_m,
        *(own.numpy().tobytes() for own in tokens),
    )


def every_place(target: ByteImage, batch_size: int) -> Iterator[tuple[int, list[ByteImage]]]:
    """Yield batches with a picture at each place, full ones and short ones."""
    others = [BLACK, noise(1), WHITE, ramp(), noise(2)]
    for number in range(1, batch_size + 1):
        for place in range(number):
            batch = [others[(place + turn) % len(others)] for turn in range(number)]
            batch[place] = target
            yield place, batch


@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_neighbours_place_and_number_leave_every_bit(
    estimator: DepthEstimator, batch_size: int
) -> None:
    assert isinstance(estimator, BatchEstimator)
    target = noise(0)
    (alone,) = estimate_all(estimator, [target], [None], batch_size)
    for place, batch in every_place(target, batch_size):
        found = estimate_all(estimator, batch, [None] * len(batch), batch_size)
        assert content(found[place]) == content(alone)


@pytest.mark.parametrize("batch_size", [2, 4])
def test_a_batch_gives_what_one_picture_gives_up_to_rounding(
    estimator: DepthEstimator, batch_size: int
) -> None:
    pictures = [noise(0), ramp(), noise(1), BLACK][:batch_size]
    focals = [None, 50.0, 70.0, None][:batch_size]
    for picture, focal_px, outcome in zip(
        pictures, focals, estimate_all(estimator, pictures, focals, batch_size), strict=True
    ):
        own = estimator.estimate(picture, focal_px)
        assert isinstance(outcome, CoarseDepth)
        np.testing.assert_allclose(outcome.map_hw, own.map_hw, rtol=1e-4, atol=1e-4)
        assert (outcome.focal_px or 0.0) == pytest.approx(own.focal_px or 0.0, rel=1e-5)
        assert outcome.far_limit_m == own.far_limit_m


def test_a_picture_keeps_none_of_its_neighbours(estimator: DepthEstimator) -> None:
    """A view of the batch would keep all of it in memory, as long as one of its labels waits."""
    found = estimate_all(estimator, [noise(0), BLACK, WHITE], [None] * 3, 3)
    for outcome in found:
        assert isinstance(outcome, CoarseDepth)
        assert outcome.map_hw.base is None
        if isinstance(outcome.features, TokenMaps):
            for tokens in outcome.features.patch_tokens:
                assert tokens.untyped_storage().nbytes() == tokens.nbytes


def test_tokens_of_a_batch_can_be_optimised() -> None:
    """Re-Depth Anything saves them for its backward pass: no inference tensors."""
    mini = load_estimator(Coarse(preset="mini", size_px=64), CPU)
    for outcome in estimate_all(mini, [noise(0), BLACK], [None] * 2, 2):
        assert isinstance(outcome, CoarseDepth) and isinstance(outcome.features, TokenMaps)
        for tokens in (*outcome.features.patch_tokens, *outcome.features.class_tokens):
            assert not tokens.is_inference()


# --- whatever the neighbours are ------------------------------------------------------------------


def nan_of_white(rgbs_hw3: Sequence[ByteImage], device: torch.device) -> Tensor:
    """Return the stack with NaN for white pictures: as a network that overflows on them."""
    shown = stack_pictures(rgbs_hw3, device)
    return torch.where((shown == 1.0).all(dim=(1, 2, 3))[:, None, None, None], torch.nan, shown)


@pytest.fixture(scope="module")
def overflowing(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, DepthEstimator]]:
    """Every network that overflows on white pictures; Marigold has its own way into the network."""
    with pytest.MonkeyPatch.context() as patch:
        models = ("depth_anything", "metric_depth_anything", "dpt", "depth_pro", "zoedepth", "tips")
        for model in models:
            patch.setattr(f"redepth.coarse.{model}.network.stack_pictures", nan_of_white)
        yield {
            "mini": load_estimator(Coarse(preset="mini", size_px=64), CPU),
            "mini-metric": load_estimator(Coarse(preset="mini-metric", size_px=64), CPU),
            **{
                preset: load_estimator(
                    Coarse(
                        preset=preset,
                        weights=Weights(folder=str(save(tmp_path_factory.mktemp(preset)))),
                        size_px=64,
                    ),
                    CPU,
                )
                for preset, save in FOLDERS.items()
                if preset != "marigold"
            },
        }


@pytest.mark.parametrize(
    "preset", ["mini", "mini-metric", "dpt-large", "depth-pro", "zoedepth", "tipsv2-dpt-base"]
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    neighbours=st.lists(
        st.one_of(
            st.just("white"), st.just("black"), st.integers(0, 2**32 - 1), st.just("the same")
        ),
        min_size=1,
        max_size=3,
    ),
    place=st.integers(0, 3),
)
def test_random_neighbours_leave_every_bit(
    overflowing: dict[str, DepthEstimator],
    preset: str,
    neighbours: list[str | int],
    place: int,
) -> None:
    """White neighbours are NaN from the first layer to the last, and stay alone with it."""
    estimator, target, batch_size = overflowing[preset], noise(0), 4
    shown = {"white": WHITE, "black": BLACK, "the same": target}
    batch = [shown[own] if isinstance(own, str) else noise(own) for own in neighbours]
    place = min(place, len(batch))
    batch.insert(place, target)
    (alone,) = estimate_all(estimator, [target], [60.0], batch_size)
    found = estimate_all(estimator, batch, [60.0] * len(batch), batch_size)
    assert content(found[place]) == content(alone)
    for picture, outcome in zip(batch, found, strict=True):
        assert isinstance(outcome, CoarseDepth)
        assert np.isfinite(outcome.map_hw).all() == (picture is not WHITE)


# --- failures and choices that are a picture's own ------------------------------------------------


def test_an_impossible_view_fails_its_own_picture(tmp_path: Path) -> None:
    folder = save_depth_pro(tmp_path, fov_deg=200.0)
    estimator = load_estimator(
        Coarse(preset="depth-pro", weights=Weights(folder=str(folder)), size_px=64), CPU
    )
    found = estimate_all(estimator, [noise(0), noise(0), BLACK], [None, 60.0, None], 2)
    assert isinstance(found[0], RefinementFailed)
    assert "saw a field of view of 2" in str(found[0])
    assert isinstance(found[2], RefinementFailed)
    assert isinstance(found[1], CoarseDepth)
    assert np.isfinite(found[1].map_hw).all()


def test_zoedepth_chooses_a_head_for_each_picture(tmp_path: Path) -> None:
    """Rooms and streets in one batch; transformers' own head would let the sum of votes decide."""
    folder = str(save_zoedepth(tmp_path))
    estimator = load_estimator(
        Coarse(preset="zoedepth", weights=Weights(folder=folder), size_px=64), CPU
    )
    pictures = [noise(seed) for seed in range(4)]
    single = [estimator.estimate(picture).far_limit_m for picture in pictures]
    assert len(set(single)) == 2
    together = estimate_all(estimator, pictures, [None] * 4, 4)
    limits = [one.far_limit_m for one in together if isinstance(one, CoarseDepth)]
    assert limits == single


@pytest.mark.slow
def test_at_its_real_size_depth_anything_leaves_every_bit(tmp_path: Path) -> None:
    """Depth Anything V2 Small with random weights at 518 px: other kernels than those of toys."""
    depth_anything_small().save_pretrained(tmp_path)
    estimator = load_estimator(
        Coarse(preset="depth-anything-v2-small", weights=Weights(folder=str(tmp_path))), CPU
    )
    size = estimator.processing_size(3000, 4000)
    target, other = (
        np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8) for seed in (0, 1)
    )
    first = estimate_all(estimator, [target, other, target], [None] * 3, 3)
    (alone,) = estimate_all(estimator, [target], [None], 3)
    assert content(first[0]) == content(first[2]) == content(alone)
