"""SharpDepth: metres that stay metres, labels that depend on the image alone, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from redepth.config import LabelSettings, load_recipe
from redepth.errors import ConfigError
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.refiners.refiner import RefinementInput
from redepth.refiners.sharpdepth.metres import to_metres
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.types import CoarseDepth, DepthKind, ImageRef, Outcome

MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"


def settings(*changes: str) -> LabelSettings:
    return load_recipe("sharpdepth-mini", changes).labels


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load_labeller(settings())


@pytest.fixture(scope="module")
def scene(labeller: Labeller) -> RefinementInput:
    rendered = render_scene("fences", 0, 64, Split.TUNING)
    return RefinementInput(
        "fence", rendered.rgb_hw3, labeller.estimator.estimate(rendered.rgb_hw3), ""
    )


def written(tmp_path: Path) -> ImageRef:
    from PIL import Image

    path = tmp_path / "fence.png"
    Image.fromarray(render_scene("fences", 1, 64, Split.TUNING).rgb_hw3).save(path)
    return ImageRef("fence", str(path))


def test_a_label_is_in_metres_and_says_what_it_rests_on(labeller: Labeller, tmp_path: Path) -> None:
    label = labeller.label(written(tmp_path))
    assert label.row.outcome is Outcome.REFINED
    assert label.row.kind is DepthKind.METRIC_DEPTH
    assert label.arrays is not None
    refined, coarse = label.arrays["refined"], label.arrays["coarse"]
    assert np.median(refined / coarse) == pytest.approx(1.0, abs=0.1)
    assert not np.allclose(refined, coarse, rtol=1e-3)
    assert np.isfinite(label.arrays["confidence"]).all()
    assert label.row.metric_scale is not None and label.row.metric_scale > 0
    assert label.row.metric_shift is not None
    assert label.row.agreeing_share is not None and 0.3 < label.row.agreeing_share <= 1.0


def test_twice_the_metres_are_twice_the_label(labeller: Labeller, scene: RefinementInput) -> None:
    """The frame takes scale and shift out; the fit puts them back."""
    twice = replace(scene, coarse=CoarseDepth(2.0 * scene.coarse.map_hw, scene.coarse.kind))
    once = labeller.refiner.refine(scene).maps_ehw
    np.testing.assert_allclose(labeller.refiner.refine(twice).maps_ehw, 2.0 * once, rtol=1e-3)


@pytest.mark.parametrize("per_batch", [1, 3, 4])
def test_members_do_not_depend_on_their_batch(
    labeller: Labeller, scene: RefinementInput, per_batch: int
) -> None:
    one = load_labeller(settings(f"labels.refiner.members_per_batch={per_batch}")).refiner
    expected = labeller.refiner.refine(scene).maps_ehw
    np.testing.assert_allclose(one.refine(scene).maps_ehw, expected, rtol=1e-3, atol=1e-3)


def test_a_size_that_is_no_multiple_of_a_latent(labeller: Labeller, scene: RefinementInput) -> None:
    cut = CoarseDepth(np.ascontiguousarray(scene.coarse.map_hw[:50, :43]), scene.coarse.kind)
    rgb = np.ascontiguousarray(scene.rgb_hw3[:50, :43])
    assert labeller.refiner.refine(replace(scene, coarse=cut, rgb_hw3=rgb)).maps_ehw.shape[1:] == (
        50,
        43,
    )


def test_too_few_agreeing_pixels_fall_back_with_the_reason(tmp_path: Path) -> None:
    strict = load_labeller(settings("labels.refiner.min_agreeing_share=1.0"))
    label = strict.label(written(tmp_path))
    assert label.row.outcome is Outcome.FELL_BACK
    assert label.row.reason is not None
    assert "of the pixels, below 100%: too few to take scale and shift from" in label.row.reason
    assert label.arrays is not None
    np.testing.assert_array_equal(label.arrays["refined"], label.arrays["coarse"])
    assert label.row.agreeing_share is not None


def test_scale_and_shift_come_from_the_pixels_that_agree() -> None:
    sharp_hw = np.linspace(-1, 1, 100, dtype=np.float32).reshape(10, 10)
    metric_hw = (3.0 * sharp_hw + 5.0).astype(np.float32)
    gate_hw = np.zeros((10, 10), dtype=np.float32)
    metric_hw[:3], gate_hw[:3] = 100.0, 0.9
    member = to_metres(sharp_hw, gate_hw, metric_hw, agreement=0.5)
    assert member.fit.scale == pytest.approx(3.0, rel=1e-5)
    assert member.fit.shift == pytest.approx(5.0, rel=1e-5)
    assert member.agreeing_share == pytest.approx(0.7)
    np.testing.assert_allclose(member.map_hw, 3.0 * sharp_hw + 5.0, rtol=1e-5)


def test_only_metric_maps_are_sharpened() -> None:
    with pytest.raises(ConfigError, match=r"sharpens depth in metres, and coarse\.preset 'mini'"):
        settings("labels.coarse.preset=mini")


def test_another_models_folder_is_refused() -> None:
    changes = (f"labels.refiner.model.weights.folder={MINI / 'betterdepth'}",
               "labels.refiner.model.weights.variant=fp16")  # fmt: skip
    with pytest.raises(ConfigError, match="is no one-step depth model: its UNet takes 48 channels"):
        load_labeller(settings(*changes))


@pytest.mark.parametrize("change", ["gate_normaliser=max", "gated_noise=latent"])
def test_the_released_rules_give_other_labels(
    labeller: Labeller, scene: RefinementInput, change: str
) -> None:
    other = load_labeller(settings(f"labels.refiner.{change}")).refiner.refine(scene)
    assert not np.allclose(other.maps_ehw, labeller.refiner.refine(scene).maps_ehw, rtol=1e-4)
    assert torch.isfinite(torch.from_numpy(other.maps_ehw)).all()
