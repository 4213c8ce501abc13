"""Labels in metres against a truth and each other: holes are left out, nothing is aligned."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.evaluation.comparing import compare_labels, require_one_alignment
from redepth.evaluation.evaluate import EvaluationInput, score_labels
from redepth.evaluation.tables import as_json, as_latex, as_markdown
from redepth.metrics.alignments import Alignment, as_disparity
from redepth.report.comparison_page import read_comparison, render_comparison
from redepth.store.reader import open_labels
from redepth.types import DepthKind, Label, LabelArrays
from tests.evaluation.evaluation_samples import (
    HW,
    planted_label,
    true_depth,
    write_output,
    write_truth,
)

SKY = np.s_[:4]


def metric_label(image_id: str, seed: int, scale: float = 1.0) -> Label:
    """Say the truth times a scale, and nothing of the first rows; surer at the left."""
    depth = (scale * true_depth(seed)).astype(np.float32)
    sure = np.tile(np.linspace(0.9, 0.1, HW[1], dtype=np.float32), (HW[0], 1))
    for map_hw in (depth, sure):
        map_hw[SKY] = np.nan
    row = replace(
        planted_label(image_id, seed).row,
        kind=DepthKind.METRIC_DEPTH,
        mean_confidence=float(np.nanmean(sure)),
        far_share=4 / HW[0],
    )
    return Label(row, LabelArrays.of_depth(depth, depth, 1 - sure, sure))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metric")
    seeds = {"a": 0, "b": 1}
    write_output(folder / "one", [metric_label(k, s) for k, s in seeds.items()])
    write_output(folder / "two", [metric_label(k, s, 1.1) for k, s in seeds.items()], steps=5)
    write_truth(folder / "truth", seeds)
    return folder


def test_metres_are_judged_as_they_are_where_they_are_known(folder: Path) -> None:
    for name, expected in (("one", 0.0), ("two", 0.1)):
        selection = EvaluationInput(str(folder / name), folder / "truth", "tum", partial=False)
        judged = score_labels(*selection.open(), "tum", Alignment.NONE)
        for image in judged.images:
            assert image.refined.abs_rel == pytest.approx(expected, abs=1e-5)
            assert image.refined.share_scored == pytest.approx(20 / 24)
            assert image.pixels is not None
            assert np.isfinite(image.pixels.confidence_n).all()
            assert all(np.isfinite(values_n).all() for values_n in image.pixels.cues.values())


def test_nothing_is_fitted_to_metres_unless_it_is_asked_for(folder: Path) -> None:
    """Four numbers an image would hide that every depth is 10 % too long."""
    selection = EvaluationInput(str(folder / "two"), folder / "truth", "tum")
    judged = score_labels(*selection.open(), "tum")
    assert [image.alignment for image in judged.images] == [Alignment.NONE] * 2
    assert judged.images[0].refined.abs_rel == pytest.approx(0.1, abs=1e-5)
    fitted = score_labels(*selection.open(), "tum", Alignment.REDEPTH)
    assert fitted.images[0].refined.abs_rel < 1e-3
    none = "alignment: none (default); numbers fitted to each image's ground truth: 0"
    redepth = "alignment: redepth; numbers fitted to each image's ground truth: 4"
    for scores, words in ((judged, none), (fitted, redepth)):
        assert words in as_markdown(scores)
        assert f"% {words}" in as_latex(scores)
        assert words in json.loads(as_json(scores))["conditions"]
    assert "aligned by itself" in as_markdown(fitted)
    assert "aligned by itself" not in as_markdown(judged), "nothing was aligned"
    content = json.loads(as_json(judged))
    assert (content["alignment"], content["alignment_asked_for"]) == (["none"], None)
    assert {image["alignment"] for image in content["images"]} == {"none"}
    content = json.loads(as_json(fitted))
    assert (content["alignment"], content["alignment_asked_for"]) == (["redepth"], "redepth")


def test_sets_of_other_kinds_are_compared_by_an_alignment_that_is_chosen(
    folder: Path, tmp_path: Path
) -> None:
    affine = write_output(tmp_path / "affine", [planted_label("a", 0), planted_label("b", 1)])
    one, other = open_labels(str(folder / "one")), open_labels(affine)
    with pytest.raises(ConfigError, match=r"metric.*affine.*none, scale_shift_disparity.*--align"):
        require_one_alignment(one, other, None)
    require_one_alignment(one, other, Alignment.SCALE)
    require_one_alignment(one, open_labels(str(folder / "two")), None)


def test_two_metric_labels_are_not_aligned_before_they_are_compared(folder: Path) -> None:
    one, two = (open_labels(str(folder / name)) for name in ("one", "two"))
    found = compare_labels(one, two)
    for image, seed in zip(sorted(found.images, key=lambda i: i.id), (0, 1), strict=True):
        known = true_depth(seed)[4:]
        low, high = np.quantile(known, (0.02, 0.98))
        assert image.correlation == pytest.approx(1.0)
        assert image.difference == pytest.approx(0.1 * known.mean() / (high - low), rel=1e-4)
    page = render_comparison(read_comparison(found, one, two, datetime.now(UTC)))
    assert "depth, in metres" in page


def test_what_is_unknown_stays_so_as_disparity() -> None:
    disparity = as_disparity(np.array([[2.0, np.nan, -1.0]]), DepthKind.METRIC_DEPTH)
    np.testing.assert_array_equal(disparity, [[0.5, np.nan, 0.0]])
