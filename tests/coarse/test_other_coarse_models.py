"""DPT and Marigold as coarse models, from folders as the hub gives them; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DPTForDepthEstimation

from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.coarse.part import Coarse
from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.settings import Weights
from redepth.types import ByteImage, DepthKind
from tests.coarse.tiny_networks import save_dpt, save_marigold

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def picture() -> ByteImage:
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


def of_folder(preset: str, folder: Path, size_px: int = 96) -> DepthEstimator:
    return load_estimator(
        Coarse(preset=preset, weights=Weights(folder=str(folder)), size_px=size_px), CPU
    )


@pytest.fixture(scope="module")
def dpt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dpt(tmp_path_factory.mktemp("dpt"))


def test_a_dpt_gives_what_transformers_gives(dpt_folder: Path, picture: ByteImage) -> None:
    square = picture[:, :64]
    coarse = of_folder("dpt-large", dpt_folder, size_px=64).estimate(square)
    shown = (square / 255.0 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    pixels = torch.tensor(shown, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.no_grad():
        own = DPTForDepthEstimation.from_pretrained(dpt_folder)(pixels).predicted_depth[0]
    assert coarse.kind is DepthKind.AFFINE_DISPARITY
    np.testing.assert_allclose(coarse.map_hw, own.numpy(), rtol=1e-4, atol=1e-4)
    assert coarse.map_hw.std() > 0


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 37), (33, 400)])
def test_every_size_a_dpt_proposes_it_can_do(dpt_folder: Path, height: int, width: int) -> None:
    estimator = of_folder("dpt-large", dpt_folder, size_px=130)
    size = estimator.processing_size(height, width)
    assert max(size) <= 128
    grey = np.full((*size, 3), 128, np.uint8)
    assert estimator.estimate(grey).map_hw.shape == size


def test_rows_of_a_wide_picture_are_not_mixed() -> None:
    """A scene stretched to twice its width: its map is the scene's, stretched as well."""
    estimator = load_estimator(Coarse(preset="mini-dpt", size_px=64), CPU)
    scene = render_scene("pebbles", 0, 64, Split.TUNING)
    square = estimator.estimate(scene.rgb_hw3).map_hw
    wide = estimator.estimate(scene.rgb_hw3.repeat(2, axis=1)).map_hw
    assert wide.shape == (64, 128)
    assert np.corrcoef(wide[:, ::2].ravel(), square.ravel())[0, 1] > 0.9


def test_a_marigold_is_no_dpt(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no model\.safetensors"):
        of_folder("dpt-large", save_marigold(tmp_path))


def test_the_mini_dpt_comes_with_redepth(picture: ByteImage) -> None:
    coarse = load_estimator(Coarse(preset="mini-dpt", size_px=64), CPU).estimate(picture[:, :64])
    assert coarse.map_hw.std() > 0.05


def test_re_lighting_needs_a_depth_anything() -> None:
    with pytest.raises(ConfigError, match=r"'mini-dpt' is none: take betterdepth or identity"):
        load_recipe("mini", ["labels.coarse.preset=mini-dpt"])


def test_a_marigold_gives_depth_and_the_same_one_again(tmp_path: Path, picture: ByteImage) -> None:
    estimator = of_folder("marigold", save_marigold(tmp_path))
    first, second = estimator.estimate(picture), estimator.estimate(picture)
    assert first.kind is DepthKind.AFFINE_DEPTH
    assert first.map_hw.shape == picture.shape[:2]
    assert 0 <= first.map_hw.min() < first.map_hw.max() <= 1
    np.testing.assert_array_equal(first.map_hw, second.map_hw)
    assert estimator.processing_size(50, 100) == (48, 96)


def test_a_marigold_for_normals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prediction_type 'normals'"):
        of_folder("marigold", save_marigold(tmp_path, prediction_type="normals"))
