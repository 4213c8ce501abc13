"""Coarse models that speak in metres: real classes of transformers at toy size, from folders."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import (
    DepthProForDepthEstimation,
    Tipsv2DptForDepthEstimation,
    ZoeDepthForDepthEstimation,
)

from redepth.coarse import coarse_models
from redepth.coarse.depth_anything.mini import (
    METRIC_MAX_DEPTH_M,
    build_mini_depth_anything,
    build_mini_metric,
)
from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.coarse.part import Coarse
from redepth.coarse.unidepth.network import UniDepth
from redepth.coarse.zoedepth.network import ZoePicture
from redepth.config import load_recipe
from redepth.errors import ConfigError, RefinementFailed
from redepth.settings import Weights
from redepth.types import ByteImage, CoarseDepth, DepthKind
from tests.coarse.tiny_networks import save_depth_pro, save_tips, save_zoedepth

CPU = torch.device("cpu")
SEEDED = Coarse(preset="mini-metric", weights=Weights(seed=0), size_px=64)


@pytest.fixture(scope="module")
def picture() -> ByteImage:
    return np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def of_folder(preset: str, folder: Path, **settings: Any) -> DepthEstimator:
    chosen = {"size_px": 64} | settings
    return load_estimator(Coarse(preset=preset, weights=Weights(folder=str(folder)), **chosen), CPU)


def test_every_metric_preset_says_how_far_it_goes_or_its_checkpoint_does() -> None:
    metric = {
        name for name, preset in coarse_models.own.items() if preset.kind is DepthKind.METRIC_DEPTH
    }
    open_ended = {name for name in metric if coarse_models[name].far_limit_m is not None}
    assert open_ended == {"depth-pro", "unidepth-v2-large"}
    assert len(metric) == 12


# --- Depth Anything -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_untrained_metric_mini_varies_within_its_range(seed: int) -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        depth = build_mini_metric(seed)(noise).predicted_depth
    assert 0 < depth.min() < depth.max() < METRIC_MAX_DEPTH_M
    assert depth.std() > 0.1


def test_making_the_metric_mini_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_mini_metric(seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_metric_depth_anything_gives_metres(picture: ByteImage) -> None:
    estimator = load_estimator(SEEDED, CPU)
    coarse = estimator.estimate(picture, focal_px=70.0)
    assert coarse.kind is estimator.kind is DepthKind.METRIC_DEPTH
    assert coarse.far_limit_m == pytest.approx(9.8)
    assert coarse.focal_px is None
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((picture / 255.0 - mean) / std).astype(np.float32).transpose(2, 0, 1)
    with torch.no_grad():
        own = build_mini_metric(0)(torch.from_numpy(pixels)[None]).predicted_depth[0].numpy()
    np.testing.assert_allclose(coarse.map_hw, own, rtol=1e-5)
    assert estimator.card.untrained


def test_a_folder_gives_the_same_bytes_as_the_seed(tmp_path: Path, picture: ByteImage) -> None:
    build_mini_metric(0).save_pretrained(tmp_path)
    own = of_folder("depth-anything-v2-metric-indoor-small", tmp_path).estimate(picture)
    np.testing.assert_array_equal(own.map_hw, load_estimator(SEEDED, CPU).estimate(picture).map_hw)


def test_relative_and_metric_checkpoints_are_not_taken_for_each_other(tmp_path: Path) -> None:
    build_mini_metric(0).save_pretrained(tmp_path / "metric")
    build_mini_depth_anything(0).save_pretrained(tmp_path / "relative")
    with pytest.raises(ConfigError, match="predicts relative depth"):
        of_folder("mini-metric", tmp_path / "relative")
    with pytest.raises(ConfigError, match="predicts metric depth"):
        of_folder("mini", tmp_path / "metric")


def test_the_far_limit_is_the_recipes_where_the_model_reaches_it(tmp_path: Path) -> None:
    near = load_estimator(SEEDED.model_copy(update={"far_limit_m": 4.0}), CPU)
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert near.estimate(grey).far_limit_m == 4.0
    with pytest.raises(ConfigError, match=r"no value beyond 9\.8 m"):
        load_estimator(SEEDED.model_copy(update={"far_limit_m": 9.9}), CPU)


# --- recipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["labels.coarse.preset=mini-metric"], "tokens of a Depth Anything for relative depth"),
        (
            ["labels.coarse.preset=mini-metric", "labels.refiner={method: identity}",
             "labels.ensemble.align_before_mean=true"],
            "those of coarse.preset 'mini-metric' are metres",
        ),
        (["labels.coarse.far_limit_m=5"], "'mini' has none"),
    ],
)  # fmt: skip
def test_what_metres_do_not_go_with_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("mini", overrides)


def test_a_run_says_that_a_model_is_non_commercial() -> None:
    for preset in ("depth-pro", "unidepth-v2-large", "depth-anything-v2-metric-outdoor-large"):
        recipe = load_recipe("coarse", [f"labels.coarse.preset={preset}"])
        assert any("non-commercial" in line for line in recipe.licence_lines())
    recipe = load_recipe("coarse", ["labels.coarse.preset=depth-anything-v2-metric-indoor-small"])
    assert recipe.licence_lines() == [
        "depth-anything-v2-metric-indoor-small: Apache-2.0 (inferred: its model card states none)"
    ]


# --- Depth Pro ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def depth_pro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_depth_pro(tmp_path_factory.mktemp("depth-pro"))


def test_depth_pro_is_what_transformers_makes_of_it(depth_pro: Path, picture: ByteImage) -> None:
    """The formula of its processor, written out: z = 1 / (c w / f) with f from the model's view."""
    estimator = of_folder("depth-pro", depth_pro)
    coarse = estimator.estimate(picture)
    model = DepthProForDepthEstimation.from_pretrained(depth_pro)
    pixels = torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1)[None] / 127.5 - 1.0
    square = functional.interpolate(pixels, (64, 64), mode="bilinear")
    with torch.no_grad():
        answer = model(square)
    focal_px = 0.5 * 64 / math.tan(math.radians(float(answer.field_of_view)) / 2)
    inverse = functional.interpolate(
        answer.predicted_depth[None] * 64 / focal_px, (48, 64), mode="bilinear"
    )
    expected = 1 / inverse.clamp(1e-4, 1e4)[0, 0]
    assert coarse.focal_px == pytest.approx(focal_px, rel=1e-5)
    np.testing.assert_allclose(coarse.map_hw, expected.numpy(), rtol=1e-4)
    assert coarse.map_hw.std() > 0
    assert coarse.far_limit_m == 1000.0
    assert estimator.processing_size(300, 400) == (48, 64)


def test_depth_pro_takes_a_known_focal_length(depth_pro: Path, picture: ByteImage) -> None:
    """Twice the focal length is twice the depth, and the model's own view is not asked."""
    estimator = of_folder("depth-pro", depth_pro)
    near, far = (estimator.estimate(picture, focal_px=f) for f in (50.0, 100.0))
    np.testing.assert_allclose(far.map_hw, 2 * near.map_hw, rtol=1e-5)
    assert near.focal_px is far.focal_px is None


def test_a_depth_pro_that_sees_no_camera_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no network for the field of view"):
        of_folder("depth-pro", save_depth_pro(tmp_path, sees_fov=False))


def test_an_impossible_view_fails_that_image_alone(tmp_path: Path, picture: ByteImage) -> None:
    estimator = of_folder("depth-pro", save_depth_pro(tmp_path, fov_deg=200.0))
    with pytest.raises(RefinementFailed, match="saw a field of view of 2"):
        estimator.estimate(picture)
    assert estimator.estimate(picture, focal_px=60.0).map_hw.shape == (48, 64)


# --- ZoeDepth -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoedepth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_zoedepth(tmp_path_factory.mktemp("zoedepth"))


def test_zoedepth_gives_metres_up_to_the_end_of_the_head_it_chose(
    zoedepth: Path, picture: ByteImage
) -> None:
    estimator = of_folder("zoedepth", zoedepth)
    coarse = estimator.estimate(picture)
    assert coarse.kind is DepthKind.METRIC_DEPTH
    assert coarse.map_hw.shape == (48, 64)
    assert np.isfinite(coarse.map_hw).all()
    assert coarse.map_hw.std() > 0
    assert coarse.far_limit_m == pytest.approx(chosen_end(zoedepth, picture) * 0.98)
    nearer = of_folder("zoedepth", zoedepth, far_limit_m=3.0).estimate(picture)
    assert nearer.far_limit_m == 3.0
    with pytest.raises(ConfigError, match="has no value beyond"):
        of_folder("zoedepth", zoedepth, far_limit_m=79.0)


def chosen_end(folder: Path, picture: ByteImage) -> float:
    """Ask transformers' own class which head answers, on the picture without its border."""
    pixels = torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1)[None] / 127.5 - 1.0
    model = ZoeDepthForDepthEstimation.from_pretrained(folder)
    with torch.no_grad():
        shown = functional.interpolate(pixels, (64, 96), mode="bilinear", align_corners=True)
        logits = model(shown).domain_logits
    return (10.0, 80.0)[int(logits.sum(dim=0).argmax())]


def test_zoedepth_takes_the_narrowest_picture_it_proposes(zoedepth: Path) -> None:
    estimator = of_folder("zoedepth", zoedepth)
    size = estimator.processing_size(10, 3000)
    assert size == (8, 64)
    assert estimator.estimate(np.zeros((*size, 3), np.uint8)).map_hw.shape == size


@pytest.mark.parametrize(
    ("size", "expected"),
    [((384, 512), (384, 512)), ((480, 640), (384, 512)), ((600, 400), (768, 512))],
)
def test_zoedepth_sees_the_size_that_transformers_would_choose(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """384 x 512 with multiples of 32, the side that changes least deciding."""
    assert ZoePicture(384, 512, 32, (0.5,) * 3, (0.5,) * 3).size(*size) == expected


# --- TIPSv2 ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tips(tmp_path_factory.mktemp("tips"))


def test_tips_gives_the_metres_of_transformers_own_class(tips: Path) -> None:
    """On a picture of the checkpoint's own size nothing is resized before or behind it."""
    picture = np.random.default_rng(1).integers(0, 255, (56, 56, 3), dtype=np.uint8)
    coarse = of_folder("tipsv2-dpt-base", tips, size_px=56).estimate(picture)
    pixels = torch.tensor(picture, dtype=torch.float32).permute(2, 0, 1)[None] / 255.0
    model = Tipsv2DptForDepthEstimation.from_pretrained(tips)
    with torch.no_grad():
        own = functional.interpolate(
            model(pixels).predicted_depth[:, None], (56, 56), mode="bilinear", align_corners=False
        )[0, 0]
    np.testing.assert_allclose(coarse.map_hw, own.numpy(), rtol=1e-5)
    assert coarse.map_hw.std() > 0.1


def test_tips_has_no_value_beyond_its_last_bin(tips: Path, picture: ByteImage) -> None:
    estimator = of_folder("tipsv2-dpt-large", tips)
    coarse = estimator.estimate(picture, focal_px=70.0)
    assert coarse.kind is DepthKind.METRIC_DEPTH
    assert coarse.map_hw.shape == (48, 64)
    assert coarse.far_limit_m == pytest.approx(9.8)
    assert coarse.focal_px is None
    assert of_folder("tipsv2-dpt-large", tips, far_limit_m=3.0).estimate(picture).far_limit_m == 3.0
    with pytest.raises(ConfigError, match=r"no value beyond 9\.8 m"):
        of_folder("tipsv2-dpt-large", tips, far_limit_m=9.9)


@pytest.mark.parametrize(
    ("size", "words"),
    [((56, 70), "not square"), ((50, 50), "patches of 14 px do not fill"), ((0, 0), "not square")],
)
def test_tips_refuses_a_picture_that_its_patches_do_not_fill(
    tips: Path, tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    shutil.copytree(tips, tmp_path / "other")
    said = {"size": {"height": size[0], "width": size[1]}}
    (tmp_path / "other/preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=words):
        of_folder("tipsv2-dpt-base", tmp_path / "other")


# --- UniDepth -------------------------------------------------------------------------------------


class FakeUniDepth:
    """What the package's class does, as far as the adapter uses it."""

    cameras: list[torch.Tensor | None]

    @classmethod
    def from_pretrained(cls, folder: str) -> FakeUniDepth:
        assert Path(folder, "config.json").is_file()
        model = cls()
        model.cameras = []
        return model

    def to(self, device: torch.device) -> FakeUniDepth:
        return self

    def eval(self) -> FakeUniDepth:
        return self

    def infer(self, rgb_3hw: torch.Tensor, camera: torch.Tensor | None) -> dict[str, torch.Tensor]:
        assert rgb_3hw.dtype is torch.uint8
        self.cameras.append(camera)
        depth = rgb_3hw[:1].float()[None] / 100
        return {"depth": depth, "intrinsics": torch.diag(torch.tensor([77.0, 77.0, 1.0]))[None]}


def unidepth_folder(folder: Path) -> Path:
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_without_its_package_unidepth_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install git\+https://github\.com/lpiccinelli-eth"):
        of_folder("unidepth-v2-large", unidepth_folder(tmp_path))


def test_unidepth_takes_a_camera_and_gives_one(
    tmp_path: Path, picture: ByteImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, models = ModuleType("unidepth"), SimpleNamespace(UniDepthV2=FakeUniDepth)
    monkeypatch.setitem(sys.modules, "unidepth", package)
    monkeypatch.setitem(sys.modules, "unidepth.models", models)
    estimator = of_folder("unidepth-v2-large", unidepth_folder(tmp_path))
    assert estimator.card.non_commercial
    seen: CoarseDepth = estimator.estimate(picture)
    assert seen.focal_px == 77.0
    np.testing.assert_allclose(seen.map_hw, picture[..., 0] / 100, rtol=1e-6)
    assert estimator.estimate(picture, focal_px=50.0).focal_px is None
    assert isinstance(estimator, UniDepth)
    camera = estimator._model.cameras[1]
    assert camera.tolist() == [[50, 0, 32], [0, 50, 24], [0, 0, 1]]
