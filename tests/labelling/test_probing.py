"""Probes: the maps that further looks leave, and a confidence of one member that rests on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from redepth.coarse.part import Coarse
from redepth.confidence.probes import MIRROR_CHANGE, Probes
from redepth.config import load_recipe
from redepth.errors import ConfigError, RefinementFailed
from redepth.labelling.labeller import load_labeller
from redepth.labelling.probing import change_map, load_probes, probe_all, texture_map
from redepth.types import ByteImage, CoarseDepth, DepthKind, ImageRef, ModelCard, Outcome

CPU = torch.device("cpu")
KIND = DepthKind.AFFINE_DISPARITY


@dataclass
class Leans:
    """A coarse model that reads brightness, and adds a lean to the right."""

    kind = KIND
    card = ModelCard("coarse", "leans", "here", None, "0" * 64, "none")
    lean: float = 0.0

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return height_px, width_px

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        grey_hw = rgb_hw3.mean(axis=2, dtype=np.float32)
        lean_w = self.lean * np.arange(grey_hw.shape[1], dtype=np.float32)
        return CoarseDepth(grey_hw + lean_w, self.kind)


def picture(seed: int = 0) -> ByteImage:
    return np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize(("lean", "differs"), [(0.0, False), (2.0, True)])
def test_the_mirror_shows_what_a_model_does_to_one_side(lean: float, differs: bool) -> None:
    estimator = Leans(lean)
    probes = load_probes(Probes(mirror=True), Coarse(preset="mini"), estimator, CPU)
    own = estimator.estimate(picture())
    (found,) = probe_all(probes, [picture()], [None], [own], 1)
    assert isinstance(found, CoarseDepth)
    change_hw = found.extra[MIRROR_CHANGE]
    assert bool(change_hw.max() > 0.05) is differs
    assert np.array_equal(found.map_hw, own.map_hw)


def test_what_failed_stays_as_it_is_and_its_neighbour_is_probed() -> None:
    probes = load_probes(Probes(texture=True), Coarse(preset="mini"), Leans(), CPU)
    failed, own = RefinementFailed("no field of view"), Leans().estimate(picture())
    first, second = probe_all(probes, [picture(), picture()], [None, None], [failed, own], 1)
    assert first is failed
    assert isinstance(second, CoarseDepth) and len(second.extra) == 1


def test_a_change_is_free_of_scale_and_shift_but_of_metres() -> None:
    map_hw = np.linspace(1.0, 9.0, 80, dtype=np.float32).reshape(8, 10)
    other_hw = 2 * map_hw + 3
    assert change_map(other_hw, CoarseDepth(map_hw, KIND)).max() < 1e-6
    metric = change_map(other_hw, CoarseDepth(map_hw, DepthKind.METRIC_DEPTH))
    assert metric[0, 0] == pytest.approx(4.0 / np.ptp(np.quantile(map_hw, (0.05, 0.95))), rel=1e-5)
    other_hw[0, 0] = np.inf
    assert np.argwhere(np.isnan(change_map(other_hw, CoarseDepth(map_hw, KIND)))).tolist() == [
        [0, 0]
    ]


def test_texture_is_the_gradient_of_the_grey() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 10, dtype=np.uint8)[None, :, None], (8, 24, 3))
    assert texture_map(ramp) == pytest.approx(0.003 + 10 / 255, rel=1e-6)


OTHER = "{preset: mini-photo, size_px: 64}"
WEIGHTS = "{within: 1.05, intercept: 0.0, texture_wide: -0.5, mirror: -0.2, size: -0.1, far: 0.3}"
OF_PIXELS = "guarantee: pixels, is_metric: false, factors: [2.0], num_images: 9"
ERROR = "{intercept: -3.0, mirror_wide: 0.2}"
SETTINGS = (
    f"labels.probes={{texture: true, mirror: true, size_px: 48, model: {OTHER}}}",
    f"labels.ensemble.confidence_mapping={WEIGHTS}",
    f"labels.ensemble.intervals={{{OF_PIXELS}, error: {ERROR}}}",
)


def test_one_member_has_a_confidence_and_bounds_that_rest_on_probes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture()).resize((64, 64)).save(path)
    labeller = load_labeller(load_recipe("mini-coarse", SETTINGS).labels)
    label = labeller.label(ImageRef("a", str(path)))
    assert label.row.outcome is Outcome.REFINED and label.arrays is not None
    assert label.row.mean_confidence is not None and 0 < label.row.mean_confidence < 1
    assert label.row.mean_spread is None
    names = {"texture", "mirror_change", "size_change", "model_change", "lower", "upper"}
    assert names <= set(label.arrays)
    assert all(np.isfinite(label.arrays[name]).all() for name in names)
    assert (label.arrays["lower"] < label.arrays["refined"]).all()
    assert (label.arrays["refined"] < label.arrays["upper"]).all()
    assert [card.role for card in labeller.cards] == ["coarse", "probe", "probe"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SETTINGS[1:], r"set probes\.(texture|mirror|size_px)"),
        ((SETTINGS[0], SETTINGS[2]), "go with the ensemble.confidence_mapping"),
        ((*SETTINGS, "labels.ensemble.intervals.is_metric=true"), "calibrate on labels of this"),
        (("labels.probes.model={preset: mini-metric}",), "cannot be compared"),
        (("labels.probes.miror=true",), "no such setting"),
    ],
)
def test_what_cannot_be_had_is_refused(settings: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_recipe("mini-coarse", settings)
