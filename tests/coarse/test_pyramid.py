"""The small coarse model that reads photographs: what comes with redepth, and what it knows."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.coarse.part import Coarse
from redepth.coarse.pyramid.model import (
    PyramidConfig,
    PyramidForDepthEstimation,
    new_pyramid,
    read_pyramid,
    write_pyramid,
)
from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.labelling.labeller import load_labeller
from redepth.scenes.photographic import COMPOSERS, OTHER, photograph
from redepth.scenes.scene import Split
from redepth.types import DepthKind, ImageRef, Outcome

CPU = torch.device("cpu")
DIGEST = "b3aec03c236e9d6e0e0e2cd1ae812051875900fe318ce43718a6345d9e8d233d"
BOUND = 0.6
SCENES_OF_EACH = 4
SHOWN_HW = (144, 192)


@pytest.fixture(scope="module")
def estimator() -> DepthEstimator:
    return load_estimator(Coarse(preset="mini-photo", size_px=192), CPU)


def test_the_weights_are_those_that_were_measured(estimator: DepthEstimator) -> None:
    card = estimator.card
    assert (card.licence, card.untrained) == ("Apache-2.0", False)
    assert card.source == "redepth/models/mini/photo"
    assert card.sha256 == DIGEST


def test_they_are_small() -> None:
    folder = resources.files("redepth") / "models" / "mini" / "photo"
    with resources.as_file(folder) as path:
        assert sum(file.stat().st_size for file in path.iterdir()) < 3_000_000


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(480, 640, (144, 192)), (375, 1242, (64, 192)), (900, 600, (192, 128)), (10, 900, (16, 192))],
)
def test_a_picture_comes_to_192_px(
    estimator: DepthEstimator, height: int, width: int, expected: tuple[int, int]
) -> None:
    size_hw = estimator.processing_size(height, width)
    assert size_hw == expected
    coarse = estimator.estimate(np.full((*size_hw, 3), 128, np.uint8))
    assert coarse.kind is DepthKind.AFFINE_DISPARITY
    assert coarse.map_hw.shape == size_hw
    assert coarse.map_hw.dtype == np.float32
    assert coarse.map_hw.min() >= 0


def test_a_side_that_is_no_multiple_is_refused(estimator: DepthEstimator) -> None:
    with pytest.raises(ValueError, match=r"multiples of 16 .*, got 100 x 192"):
        estimator.estimate(np.zeros((100, 192, 3), np.uint8))


def test_a_seed_asks_for_another_preset() -> None:
    with pytest.raises(ConfigError, match="mini"):
        load_estimator(Coarse.model_validate({"preset": "mini-photo", "weights": {"seed": 0}}), CPU)


def test_a_map_is_of_the_picture_and_not_of_the_row_alone(estimator: DepthEstimator) -> None:
    """Two rooms at one size have maps that differ by more than scale and shift."""
    first, second = (
        estimator.estimate(photograph("room", seed, Split.HELD_OUT, size_hw=SHOWN_HW).rgb_hw3)
        for seed in (0, 1)
    )
    correlation = np.corrcoef(first.map_hw.ravel(), second.map_hw.ravel())[0, 1]
    assert correlation < 0.97


def test_the_order_of_depths_in_scenes_of_another_style(estimator: DepthEstimator) -> None:
    """Tiles, light and things it was not trained on; the row alone, lower is nearer, is beaten."""
    rows = np.repeat(np.arange(SHOWN_HW[0])[:, None], SHOWN_HW[1], axis=1)
    found, by_row = [], []
    for family in COMPOSERS:
        for seed in range(SCENES_OF_EACH):
            scene = photograph(family, seed, Split.TUNING, OTHER, SHOWN_HW)
            map_hw = estimator.estimate(scene.rgb_hw3).map_hw
            found.append(spearmanr(map_hw.ravel(), scene.disparity_hw.ravel())[0])
            by_row.append(spearmanr(rows.ravel(), scene.disparity_hw.ravel())[0])
    assert np.median(found) > BOUND
    assert np.mean(found) > np.mean(by_row) + 0.05


def test_a_mirrored_picture_has_the_mirrored_map(estimator: DepthEstimator) -> None:
    rgb_hw3 = photograph("room", 0, Split.HELD_OUT, size_hw=SHOWN_HW).rgb_hw3
    mirrored = estimator.estimate(np.ascontiguousarray(rgb_hw3[:, ::-1])).map_hw
    np.testing.assert_allclose(
        mirrored[:, ::-1], estimator.estimate(rgb_hw3).map_hw, rtol=1e-4, atol=1e-4
    )


def test_weights_of_a_seed_leave_the_global_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = new_pyramid(1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    again, other = new_pyramid(1).state_dict(), new_pyramid(2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = PyramidForDepthEstimation(PyramidConfig(widths=(4, 8, 8, 16), depths=(1, 0, 1)))
    write_pyramid(written, tmp_path, "model.safetensors")
    read = read_pyramid(tmp_path, tmp_path / "model.safetensors")
    assert read.config == written.config
    state = read.state_dict()
    assert all(torch.equal(state[name], value) for name, value in written.state_dict().items())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"widths": [100_000] * 4, "depths": [1, 2, 4]}, "size mismatch"),  # 10^11 weights
        ({"widths": [16, 32, 64, 128], "depths": [1, 2, 5]}, "Missing key"),
        ({"widths": [16, 32]}, "widths"),
        ({"model_type": "dpt"}, "model_type"),
    ],
)
def test_a_config_that_the_weights_are_not_of_is_refused(
    tmp_path: Path, config: dict[str, object], words: str
) -> None:
    folder = resources.files("redepth") / "models" / "mini" / "photo"
    with resources.as_file(folder) as path:
        shutil.copy(path / "model.fp16.safetensors", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    own = {"preset": "mini-photo", "weights": {"folder": str(tmp_path)}}
    with pytest.raises(ConfigError, match=f"cannot read a pyramid from(.|\n)*{words}"):
        load_estimator(Coarse.model_validate(own), CPU)


def test_it_labels_a_photograph(tmp_path: Path) -> None:
    """From a file to its label: the photograph is scikit-image's cup of coffee."""
    path = tmp_path / "coffee.png"
    with (
        resources.as_file(resources.files("skimage") / "data" / "coffee.png") as source,
        Image.open(source) as picture,
    ):
        picture.save(path)
    settings = ("labels.coarse.preset=mini-photo", "labels.coarse.size_px=192")
    recipe = load_recipe("mini-coarse", settings)
    label = load_labeller(recipe.labels).label(ImageRef("coffee", str(path)))
    assert label.row.outcome is Outcome.REFINED
    assert label.arrays is not None
    map_hw = label.arrays["refined"]
    assert max(map_hw.shape) == 192
    assert np.isfinite(map_hw).all()
    assert map_hw.std() > 0
