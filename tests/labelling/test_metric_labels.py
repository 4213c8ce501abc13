"""Labels in metres: what has no value, whose focal length it is, and what is not aligned away."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from redepth.confidence.cues import LabelMaps, cues_of
from redepth.confidence.mapping import ConfidenceMapping
from redepth.config import Ensemble, Guard, LabelSettings
from redepth.errors import RefinementFailed
from redepth.labelling.ensemble import guard, reduce_members
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.labelling.valid_range import mask_far
from redepth.quantities import Validity
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.types import (
    ByteImage,
    CoarseDepth,
    DepthKind,
    FloatMap,
    FocalSource,
    ImageRef,
    Label,
    Members,
    ModelCard,
    Outcome,
)

NAN = np.nan
RAMP = np.linspace(1, 9, 48, dtype=np.float32).reshape(6, 8)
CARD = ModelCard("coarse", "told", "told", None, "0" * 64, "none")


@dataclass
class Told:
    """An estimator that says what it is told to, and remembers the focal lengths it was given."""

    map_hw: FloatMap
    far_limit_m: float | None = 10.0
    sees_focal_px: float | None = None
    kind: DepthKind = DepthKind.METRIC_DEPTH
    card: ModelCard = CARD
    focal_lengths: list[float | None] = field(default_factory=list)

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return self.map_hw.shape[0], self.map_hw.shape[1]

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        self.focal_lengths.append(focal_px)
        seen = None if focal_px is not None else self.sees_focal_px
        return CoarseDepth(self.map_hw, self.kind, focal_px=seen, far_limit_m=self.far_limit_m)


class Moved(IdentityRefiner):
    """A refiner that returns the coarse map with members added to it."""

    def __init__(self, *moves: FloatMap) -> None:
        self.moves = moves

    def refine(self, scene: RefinementInput) -> Members:
        assert np.isfinite(scene.coarse.map_hw).all(), "refiners are given no holes"
        return Members(np.stack([scene.coarse.map_hw + move for move in self.moves]))


@pytest.fixture
def photograph(tmp_path: Path) -> ImageRef:
    Image.new("RGB", (80, 60), (90, 80, 70)).save(tmp_path / "a.png")
    return ImageRef("a", str(tmp_path / "a.png"))


def labelled(estimator: Told, ref: ImageRef, *moves: FloatMap, **ensemble: Any) -> Label:
    settings = LabelSettings(ensemble=Ensemble(**ensemble))
    refiner = Moved(*moves) if moves else IdentityRefiner()
    return Labeller(settings, estimator, refiner, "cpu").label(ref)


def with_sky() -> FloatMap:
    map_hw = RAMP.copy()
    map_hw[0] = (10, 10.5, np.inf, 11, 300, 10, 10, 10)
    return map_hw


def test_what_lies_at_the_far_limit_has_no_value(photograph: ImageRef) -> None:
    label = labelled(Told(with_sky()), photograph)
    assert label.arrays is not None
    assert label.row.outcome is Outcome.REFINED
    for map_hw in (label.arrays["coarse"], label.arrays["refined"]):
        assert np.isnan(map_hw[0]).all()
        assert np.array_equal(map_hw[1:], RAMP[1:])
    assert label.row.far_share == 1 / 6
    assert label.row.kind is DepthKind.METRIC_DEPTH


def test_refining_may_lead_to_the_limit_but_not_back_from_it(photograph: ImageRef) -> None:
    move = np.zeros_like(RAMP)
    move[0] = -5  # nearer than the limit, where coarse says nothing
    move[5, 7] = 3  # 9 m become 12 m
    move[1, 0] = -100  # behind the camera
    label = labelled(Told(with_sky()), photograph, move)
    assert label.arrays is not None
    unknown = np.isnan(label.arrays["refined"])
    assert unknown[0].all() and unknown[5, 7] and unknown[1, 0]
    assert unknown.sum() == 10
    assert np.isfinite(label.arrays["coarse"][[1, 5], [0, 7]]).all()
    codes = np.full(RAMP.shape, Validity.VALID)
    codes[0] = codes[5, 7] = Validity.BEYOND_RANGE
    codes[1, 0] = Validity.HOLE
    np.testing.assert_array_equal(label.arrays["valid"], codes)
    assert label.row.far_share == pytest.approx(10 / 48)


def test_an_ensemble_has_no_confidence_beyond_the_limit(photograph: ImageRef) -> None:
    moves = (RAMP * 0.0, RAMP * 0.02)
    mapping = ConfidenceMapping.model_validate(
        {"within": 1.25, "intercept": -2.0, "spread": -0.3, "slope": -0.1, "drift": -0.2}
    )
    for own in ({}, {"confidence_mapping": mapping}):
        label = labelled(Told(with_sky()), photograph, *moves, **own)
        assert label.arrays is not None and label.row.mean_confidence is not None
        for map_hw in (label.arrays["spread"], label.arrays["confidence"]):
            assert np.isnan(map_hw[0]).all()
            assert np.isfinite(map_hw[1:]).all()
        known = label.arrays["confidence"][1:]
        assert label.row.mean_confidence == pytest.approx(float(known.mean()), rel=1e-6)


def test_a_picture_of_the_sky_alone_gets_no_label(photograph: ImageRef) -> None:
    row = labelled(Told(np.full((6, 8), 50, np.float32)), photograph).row
    assert row.outcome is Outcome.REJECTED
    assert "nothing nearer than the far limit of 10 m" in (row.reason or "")


def test_a_map_that_loses_everything_falls_back(photograph: ImageRef) -> None:
    label = labelled(Told(RAMP), photograph, np.full_like(RAMP, 20))
    assert label.row.outcome is Outcome.FELL_BACK
    assert label.arrays is not None and np.array_equal(label.arrays["refined"], RAMP)
    assert (label.arrays["valid"] == Validity.VALID).all()
    assert label.row.far_share == 0


def test_a_label_that_fell_back_says_why_the_coarse_map_has_holes(photograph: ImageRef) -> None:
    coarse_hw = with_sky()
    coarse_hw[2, 3] = -1
    label = labelled(Told(coarse_hw), photograph, np.full_like(RAMP, 20))
    assert label.row.outcome is Outcome.FELL_BACK and label.arrays is not None
    codes = np.full(RAMP.shape, Validity.VALID)
    codes[0], codes[2, 3] = Validity.BEYOND_RANGE, Validity.HOLE
    np.testing.assert_array_equal(label.arrays["valid"], codes)


@pytest.mark.parametrize("limit_m", [None, 10.0])
def test_nan_is_no_sky(limit_m: float | None) -> None:
    map_hw = RAMP.copy()
    map_hw[2, 2] = np.nan
    with pytest.raises(RefinementFailed, match="not finite"):
        mask_far(CoarseDepth(map_hw, DepthKind.METRIC_DEPTH, far_limit_m=limit_m))


def test_other_kinds_pass_untouched(photograph: ImageRef) -> None:
    estimator = Told(with_sky() - 20, kind=DepthKind.AFFINE_DISPARITY)
    estimator.map_hw[np.isinf(estimator.map_hw)] = -3
    label = labelled(estimator, photograph)
    assert label.arrays is not None
    assert np.array_equal(label.arrays["coarse"], estimator.map_hw)
    assert label.row.far_share is None


# --- nothing of a metre is free -------------------------------------------------------------------


def test_the_spread_of_metric_members_is_not_aligned_away() -> None:
    members = Members(np.stack([RAMP, RAMP * 1.2]))
    free = reduce_members(members, RAMP, Ensemble())
    metric = reduce_members(members, RAMP, Ensemble(), kind=DepthKind.METRIC_DEPTH)
    assert free.spread_hw.max() < 1e-6
    np.testing.assert_allclose(metric.spread_hw, 0.1 * RAMP, rtol=1e-5)


def test_the_drift_of_a_metric_map_is_not_aligned_away() -> None:
    scaled = (RAMP * 1.5).astype(np.float32)
    assert guard(RAMP, scaled, Guard()).drift == pytest.approx(0, abs=1e-6)
    verdict = guard(RAMP, scaled, Guard(), is_metric=True)
    low, high = np.quantile(RAMP, (0.02, 0.98))
    assert verdict.drift == pytest.approx(float((0.5 * RAMP).mean() / (high - low)), rel=1e-6)
    assert verdict.collapse is None
    maps = LabelMaps({"refined": scaled, "coarse": RAMP}, DepthKind.METRIC_DEPTH)
    moved = cues_of(maps, ("drift",))["drift"]
    assert (moved > 0).all()


def test_the_guard_looks_at_what_is_known_alone() -> None:
    coarse = RAMP.copy()
    coarse[0] = NAN
    refined = coarse.copy()
    assert guard(coarse, refined, Guard(), is_metric=True).collapse is None
    refined[3, 3] = NAN
    verdict = guard(coarse, refined, Guard(), is_metric=True)
    assert verdict.collapse is not None and "2.5%" in verdict.collapse


# --- whose focal length ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("focal_px", "fov_deg", "expected_px", "source", "given_px"),
    [
        (100.0, None, 10.0, FocalSource.LIST, 10.0),
        (None, 90.0, 4.0, FocalSource.LIST, 4.0),
        (None, None, 7.5, FocalSource.MODEL, None),
    ],
)
def test_the_focal_length_is_recorded_at_the_labels_size(
    photograph: ImageRef,
    focal_px: float | None,
    fov_deg: float | None,
    expected_px: float,
    source: FocalSource,
    given_px: float | None,
) -> None:
    """80 px become 8."""
    estimator = Told(RAMP, sees_focal_px=7.5)
    row = labelled(estimator, photograph._replace(focal_px=focal_px, fov_deg=fov_deg)).row
    assert row.focal_px == pytest.approx(expected_px)
    assert row.focal_source is source
    assert estimator.focal_lengths == [given_px if given_px is None else pytest.approx(given_px)]


def test_the_list_goes_before_exif_and_exif_before_the_model(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 80))
    exif = image.getexif()
    exif.get_ifd(0x8769)[0xA405] = 43  # of film whose diagonal is 43.27 mm
    image.save(tmp_path / "a.jpg", exif=exif)
    ref, estimator = ImageRef("a", str(tmp_path / "a.jpg")), Told(RAMP, sees_focal_px=7.5)
    row = labelled(estimator, ref).row
    assert row.focal_source is FocalSource.EXIF
    assert row.focal_px == pytest.approx(43 / np.hypot(36, 24) * 100 * 8 / 60)
    assert labelled(estimator, ref._replace(focal_px=90.0)).row.focal_source is FocalSource.LIST


def test_millimetres_for_pixels_are_refused_with_the_reason(photograph: ImageRef) -> None:
    row = labelled(Told(RAMP), photograph._replace(focal_px=0.5)).row
    assert row.outcome is Outcome.FAILED
    assert "in pixels of the whole upright photograph" in (row.reason or "")


def test_copies_with_other_cameras_are_other_labels(photograph: ImageRef) -> None:
    estimator = Told(RAMP)
    settings = LabelSettings(deduplicate=True)
    labeller = Labeller(settings, estimator, IdentityRefiner(), "cpu")
    for focal_px in (100.0, 200.0, 100.0):
        labeller.label(photograph._replace(focal_px=focal_px))
    assert estimator.focal_lengths == [10.0, 20.0]


def test_the_mini_metric_recipe_labels_in_metres(photograph: ImageRef) -> None:
    settings = LabelSettings.model_validate(
        {"coarse": {"preset": "mini-metric", "size_px": 64, "weights": {"seed": 0}}}
    )
    label = load_labeller(settings).label(photograph)
    assert label.arrays is not None and label.row.kind is DepthKind.METRIC_DEPTH
    assert label.row.untrained
    assert 0 < np.nanmin(label.arrays["refined"]) <= np.nanmax(label.arrays["refined"]) < 9.8
