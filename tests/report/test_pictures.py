"""Pictures of labels: what is on them, and that they can be drawn whatever is missing."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from redepth.exports.colour_png import UNDEFINED_GREY
from redepth.geometry.points import PointCloud
from redepth.quantities import SPREAD
from redepth.report.clouds import draw_cloud
from redepth.report.gallery import spread_evenly
from redepth.report.layers import layers_of
from redepth.report.pictures import LabelPicture, draw_contact_sheet, draw_label
from redepth.report.scene_errors import SceneErrors
from redepth.types import DepthKind, LabelRow, Outcome


def picture(*, untrained: bool = False, confident: bool = True) -> LabelPicture:
    ramp = np.tile(np.linspace(1, 5, 30, dtype=np.float32), (20, 1))
    row = LabelRow(
        id="image-0123456789abcdef-with-a-very-long-name",
        uri="/image.png",
        outcome=Outcome.REFINED,
        kind=DepthKind.AFFINE_DISPARITY,
        drift=0.02,
        mean_confidence=0.5 if confident else None,
        num_members=3,
        untrained=untrained,
    )
    confidence = np.full_like(ramp, 0.5 if confident else np.nan)
    return LabelPicture(row, None, ramp, ramp + 0.5, confidence)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def share_of_crimson(png: bytes) -> float:
    red, green, blue = np.moveaxis(pixels(png), -1, 0)
    return float(((red > 180) & (green < 80) & (blue < 110) & (blue > 20)).mean())


def test_untrained_models_are_named_in_red() -> None:
    trained, untrained = draw_label(picture()), draw_label(picture(untrained=True))
    assert share_of_crimson(untrained) > share_of_crimson(trained) + 1e-3


@pytest.mark.parametrize("confident", [True, False])
def test_contact_sheet_has_a_row_a_label(confident: bool) -> None:
    one = pixels(draw_contact_sheet([picture(confident=confident)], "one"))
    three = pixels(draw_contact_sheet([picture(confident=confident)] * 3, "three"))
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] > 2 * one.shape[0]


def test_a_quantity_without_any_value_is_not_drawn_as_a_map() -> None:
    """Spread of an ensemble of one: words in its place, and no layer of the page."""
    known = picture()
    absent = np.full_like(known.coarse_hw, np.nan)
    without = replace(known, extra={SPREAD: absent})
    with_some = replace(known, extra={SPREAD: np.where(known.coarse_hw > 2, 1.0, absent)})
    assert [layer.name for layer in layers_of(without)] == ["coarse", "refined", "confidence"]
    assert layers_of(with_some)[-1].name == "spread"
    grey = np.array(UNDEFINED_GREY)
    shares = [
        (pixels(draw_label(one)) == grey).all(axis=2).mean() for one in (known, without, with_some)
    ]
    assert shares[1] < shares[0] + 1e-3 < shares[2]


def test_coarse_and_refined_share_their_colours() -> None:
    same = picture()
    shifted = LabelPicture(same.row, None, same.coarse_hw, same.coarse_hw, same.confidence_hw)
    assert not np.array_equal(pixels(draw_label(same)), pixels(draw_label(shifted)))


@pytest.mark.parametrize(
    ("number", "expected"), [(1, ["0"]), (3, ["0", "4", "9"]), (20, [str(i) for i in range(10)])]
)
def test_spread_evenly_keeps_first_and_last(number: int, expected: list[str]) -> None:
    assert spread_evenly([str(i) for i in range(10)], number) == expected


def with_errors() -> LabelPicture:
    error = np.full((20, 30), 0.02, np.float32)
    return replace(picture(), errors=SceneErrors(error, error / np.float32(2)))


def test_errors_take_two_columns_more_where_one_scene_has_them() -> None:
    without = pixels(draw_contact_sheet([picture(), picture()], "photographs"))
    mixed = pixels(draw_contact_sheet([picture(), with_errors()], "a photograph and a scene"))
    assert mixed.shape[1] == without.shape[1] * 6 // 4


def test_coarse_and_refined_errors_share_their_colours() -> None:
    same = with_errors()
    assert same.errors is not None
    halved = SceneErrors(same.errors.coarse_hw, same.errors.coarse_hw)
    assert not np.array_equal(
        pixels(draw_label(same)), pixels(draw_label(replace(same, errors=halved)))
    )


def test_what_a_metric_label_does_not_know_is_drawn_and_said() -> None:
    """Errors beside it too, each with a hole."""
    whole = with_errors()
    assert whole.errors is not None
    hole = np.where(np.arange(20)[:, None] < 5, np.float32(np.nan), np.float32(1))
    row = replace(whole.row, kind=DepthKind.METRIC_DEPTH, far_share=0.25)
    holed = LabelPicture(
        row, None, whole.coarse_hw * hole, whole.refined_hw * hole, whole.confidence_hw * hole,
        SceneErrors(whole.errors.coarse_hw * hole, whole.errors.refined_hw * hole),
    )  # fmt: skip
    assert not np.array_equal(pixels(draw_label(holed)), pixels(draw_label(whole)))
    names = [layer.name for layer in layers_of(holed)]
    assert names == ["coarse", "refined", "confidence", "coarse error", "refined error"]


@pytest.mark.parametrize(
    "name", ["shoe_$20_-_$35", "$\\frac{$", "a\x1b[2J\0\ud800\nb", "\u202egpj", "x" * 5000, r"\$ $"]
)
def test_a_name_is_no_formula_and_no_order(name: str) -> None:
    named = picture()
    named = replace(named, row=replace(named.row, id=name, reason=name))
    assert draw_label(named)
    assert draw_contact_sheet([named], name)


def test_a_point_cloud_of_any_name_is_drawn() -> None:
    xyz_n3 = np.random.default_rng(0).random((50, 3), dtype=np.float32) + 1
    rgb_n3 = np.zeros((50, 3), np.uint8)
    cloud = PointCloud(xyz_n3, rgb_n3, 0, 0)
    assert draw_cloud(cloud, replace(picture().row, id="shoe_$20_-_$35\x1b"))


def test_columns_that_no_label_has_anything_for_are_left_out() -> None:
    """Nothing refined, one member, no truth: photograph and coarse map alone."""
    known = picture()
    bare = replace(picture(confident=False), refined_hw=known.coarse_hw)
    narrow = pixels(draw_contact_sheet([bare, bare], "coarse only"))
    whole = pixels(draw_contact_sheet([bare, known], "one of them refined"))
    assert narrow.shape[1] * 2 == whole.shape[1]


def test_a_label_without_truth_beside_one_with_it_has_no_box_in_its_place() -> None:
    """The right third of the sheet: white beside the first label, maps beside the second."""
    right = pixels(draw_contact_sheet([picture(), with_errors()], "two"))
    right = right[:, right.shape[1] * 2 // 3 + 10 : -10]
    rows_with_ink = np.flatnonzero((right.min(axis=(1, 2)) < 250) & (right.std(axis=(1, 2)) > 5))
    assert rows_with_ink[rows_with_ink > 120].min() > right.shape[0] * 0.45
