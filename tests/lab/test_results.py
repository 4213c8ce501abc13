"""Figures, page and pictures of a toy of two images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from redepth.lab.confidence import report_confidence
from redepth.lab.experiments import Condition
from redepth.lab.results import as_json, change, hurt_families, kept_share
from redepth.report.lab_page import headline, lab_page
from redepth.report.lab_pictures import (
    choose_scenes,
    draw_before_after,
    draw_changes,
    draw_reliability,
    draw_sparsification,
)
from tests.lab.lab_samples import GROUP, cues, measurement, two_images

PNG = b"\x89PNG"


def test_the_change_of_two_images_is_that_of_their_means() -> None:
    found = change(two_images().of_group(GROUP), Condition.FULL, "abs_rel")
    assert found is not None
    assert found.change == pytest.approx((0.01 + 0.022) / 0.04 - 1)
    assert found.share_better == 0.5


def test_a_figure_that_no_image_has_is_absent() -> None:
    measurements = two_images().of_group(GROUP)
    assert change(measurements, Condition.FULL, "edge_f1") is None
    assert change(measurements, Condition.UNTRAINED_PRIOR, "abs_rel") is None


def test_the_kept_share_is_the_ratio_of_the_gains() -> None:
    found = kept_share(two_images().of_group(GROUP), Condition.OTHER_IMAGE)
    assert found is not None
    assert found.ratio == pytest.approx((0.005 - 0.001) / (0.01 - 0.002))
    assert found.low <= found.ratio <= found.high


def test_without_a_gain_nothing_can_be_kept() -> None:
    worse = {Condition.COARSE: 0.02, Condition.FULL: 0.03, Condition.OTHER_IMAGE: 0.01}
    assert kept_share([measurement("faces", worse)], Condition.OTHER_IMAGE) is None


def test_a_family_is_named_when_it_is_worse_beyond_doubt() -> None:
    worse = {Condition.COARSE: 0.02, Condition.FULL: 0.03}
    better = {Condition.COARSE: 0.02, Condition.FULL: 0.01}
    measurements = [measurement("faces", worse)] * 3 + [measurement("coins", better)] * 3
    assert hurt_families(measurements, "abs_rel") == ["faces"]


def test_the_page_says_what_was_found_and_that_nothing_was_trained() -> None:
    page = lab_page(two_images())
    assert "UNTRAINED" in page
    assert "redepth lab --quick" in page
    assert "num_steps: 1000 -> 3" in page
    assert "AbsRel -20.0% [" in page
    assert "over another image of the family: 50%" in page
    assert "the worst: coins 0 +10%" in page
    assert "nan" not in page
    widths = [line.count("|") for line in page.splitlines() if line.startswith("| coarse")]
    assert len(set(widths)) == 1


def test_a_group_that_was_not_measured_does_not_break_the_page() -> None:
    empty = replace(two_images(), measurements=())
    assert "nothing measured" in headline(GROUP, empty.of_group(GROUP))
    assert "## toys" in lab_page(empty)


def test_json_holds_every_image_and_reads_back() -> None:
    read = json.loads(as_json(two_images()))
    assert [image["family"] for image in read["images"]] == ["faces", "coins"]
    assert read["images"][0]["scores"]["full_method"]["whole"]["abs_rel"] == 0.01
    assert read["commit"] == "abc1234"


def test_scenes_are_chosen_from_every_family() -> None:
    gains = [0.01, 0.03, 0.02, 0.015, 0.025]
    measurements = [
        measurement("faces", {Condition.COARSE: 0.02, Condition.FULL: value}) for value in gains
    ]
    chosen = choose_scenes(measurements)
    shown = [next(iter(m.scores[Condition.FULL].values())).abs_rel for m in chosen]
    assert shown == [0.01, 0.02, 0.03]


def test_pictures_are_drawn() -> None:
    result = two_images()
    report = report_confidence([cues(0, 1.0)], [cues(1, 1.0), cues(2, 1.0)])
    assert report is not None
    assert draw_before_after(choose_scenes(result.of_group(GROUP)), "toys").startswith(PNG)
    assert draw_changes(result).startswith(PNG)
    assert draw_sparsification(report).startswith(PNG)
    assert draw_reliability(report).startswith(PNG)


def test_the_mean_curve_starts_at_one_and_lies_above_the_oracle() -> None:
    report = report_confidence([cues(0, 1.0)], [cues(1, 1.0), cues(2, 1.0)])
    assert report is not None
    for ranking in report.rankings:
        assert ranking.curve_k[0] == 1.0
        assert (ranking.curve_k >= ranking.oracle_k - 1e-9).all()
        assert np.isfinite(ranking.ause)
