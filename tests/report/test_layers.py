"""Pictures and clouds of a card: colours, ends, and the sixteen bits of a relief."""

from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from redepth.report.layers import CLOUD_PX, PICTURE_PX, colour_stops, layers_of, reliefs_of
from redepth.report.pictures import LabelPicture
from redepth.report.scene_errors import SceneErrors
from redepth.types import DepthKind, LabelRow, Outcome
from tests.report import report_samples


def picture(kind: DepthKind = DepthKind.AFFINE_DISPARITY) -> LabelPicture:
    arrays = report_samples.maps(1)
    row = LabelRow(id="x", uri="x.png", outcome=Outcome.REFINED, kind=kind)
    photograph = np.zeros((900, 1350, 3), np.uint8)
    return LabelPicture(row, photograph, arrays["coarse"], arrays["refined"], arrays["confidence"])


def pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def nearness(uri: str) -> np.ndarray:
    high, low, undefined = np.moveaxis(pixels(uri).astype(int), -1, 0)
    return np.where(undefined > 0, np.nan, (256 * high + low) / 65535)


def test_a_photograph_is_made_small() -> None:
    photograph = layers_of(picture())[0]
    assert pixels(photograph.uri).shape == (round(PICTURE_PX * 2 / 3), PICTURE_PX, 3)


def test_brightest_is_nearest_for_a_disparity_and_farthest_for_a_depth() -> None:
    ends = {
        kind: [(layer.low, layer.high) for layer in layers_of(picture(kind))][1]
        for kind in DepthKind
    }
    assert ends[DepthKind.AFFINE_DISPARITY] == ("far", "near")
    assert ends[DepthKind.AFFINE_DEPTH] == ("near", "far")
    assert all(end.endswith(" m") for end in ends[DepthKind.METRIC_DEPTH])


@pytest.mark.parametrize("kind", DepthKind)
def test_a_relief_has_what_is_near_at_one(kind: DepthKind) -> None:
    relief = nearness(reliefs_of(picture(kind))[0].uri)
    right_is_larger = relief[0, -1] > relief[0, 0]
    assert right_is_larger == kind.grows_towards_camera


def test_a_relief_keeps_the_map_to_sixteen_bits() -> None:
    shown = picture()
    low, high = np.quantile(np.stack((shown.coarse_hw, shown.refined_hw)), (0.01, 0.99))
    expected = np.clip((shown.coarse_hw - low) / (high - low), 0, 1)
    np.testing.assert_allclose(nearness(reliefs_of(shown)[0].uri), expected, atol=2e-5)


def test_a_relief_is_small_and_says_where_it_is_not_defined() -> None:
    large = report_samples.maps(0, (400, 500))["coarse"].copy()
    large[:200, :250] = np.nan
    relief = nearness(reliefs_of(replace(picture(), coarse_hw=large))[0].uri)
    assert max(relief.shape) == CLOUD_PX
    assert np.isnan(relief[0, 0]) and np.isfinite(relief[-1, -1])


def test_undefined_pixels_are_grey() -> None:
    hidden = picture().confidence_hw.copy()
    hidden[0, 0] = np.nan
    confidence = layers_of(replace(picture(), confidence_hw=hidden))[-1]
    assert tuple(pixels(confidence.uri)[0, 0]) == (128, 128, 128)


def test_errors_are_two_layers_more() -> None:
    error = np.full((40, 60), 0.1, np.float32)
    with_errors = replace(picture(), errors=SceneErrors(error, error))
    assert [layer.name for layer in layers_of(with_errors)][-2:] == [
        "coarse error", "refined error"
    ]  # fmt: skip


def test_a_scale_runs_from_dark_to_bright() -> None:
    stops = colour_stops("magma").split(", ")
    assert len(stops) == 9
    brightness = [sum(bytes.fromhex(stop[1:])) for stop in stops]
    assert brightness == sorted(brightness)
