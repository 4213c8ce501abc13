"""Two sets of labels of one collection: what is alike, what differs, and by how much."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.evaluation.comparing import (
    LabelComparison,
    compare_labels,
    comparison_json,
    comparison_markdown,
)
from redepth.evaluation.evaluate import EvaluationInput, LabelScores, score_labels
from redepth.metrics.alignments import Alignment
from redepth.report.comparison_page import read_comparison
from redepth.store.reader import open_labels
from redepth.types import DepthKind, Label, LabelArrays, Outcome
from tests.evaluation.evaluation_samples import planted_label, rejected, write_output, write_truth

SEEDS = {"alike": 0, "rescaled": 1, "worse": 2}


def with_refined(label: Label, refined: np.ndarray, kind: DepthKind | None = None) -> Label:
    assert label.arrays is not None
    map_hw = refined.astype(np.float32)
    arrays = LabelArrays.of_depth(map_hw, map_hw, map_hw, map_hw)
    row = replace(label.row, kind=kind or label.row.kind)
    return Label(replace(row, height_px=refined.shape[0], width_px=refined.shape[1]), arrays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    first = [planted_label(image_id, seed) for image_id, seed in SEEDS.items()]
    second = [planted_label(image_id, seed, refined_error=0.2) for image_id, seed in SEEDS.items()]
    for number, change in ((0, lambda x: x), (1, lambda x: 3.0 * x + 2.0)):
        arrays = first[number].arrays
        assert arrays is not None
        second[number] = with_refined(first[number], change(arrays["refined"]))
    write_output(folder / "a", [*first, planted_label("broken", 5), planted_label("only-a", 6)])
    write_output(folder / "b", [*second, rejected("broken"), rejected("only-b")], steps=5)
    write_truth(folder / "truth", {**SEEDS, "broken": 5, "only-a": 6})
    return folder


@pytest.fixture(scope="module")
def comparison(folder: Path) -> LabelComparison:
    opened = open_labels(str(folder / "a")), open_labels(str(folder / "b"))
    return compare_labels(*opened, score_both(folder))


def score_both(folder: Path) -> tuple[LabelScores, LabelScores]:
    first, second = (
        score_labels(
            *EvaluationInput(str(folder / name), folder / "truth", "tum", partial=False).open(),
            "tum",
            Alignment.REDEPTH,
        )
        for name in "ab"
    )
    return first, second


def test_images_are_compared_up_to_scale_and_shift(comparison: LabelComparison) -> None:
    found = {image.id: image for image in comparison.images}
    for name in ("alike", "rescaled"):
        assert found[name].correlation == pytest.approx(1.0, abs=1e-5)
        assert found[name].difference == pytest.approx(0.0, abs=1e-5)
    assert found["worse"].correlation < 0.99
    assert found["worse"].difference > 0.05


def test_the_image_that_differs_most_comes_first_and_one_without_a_label_last(
    comparison: LabelComparison,
) -> None:
    assert comparison.images[0].id == "worse"
    last = comparison.images[-1]
    assert last.id == "broken"
    assert last.outcomes == (Outcome.REFINED, Outcome.REJECTED)
    assert math.isnan(last.difference)
    assert math.isnan(last.confidence[1])


def test_the_sets_are_summed_up_over_what_both_know(comparison: LabelComparison) -> None:
    assert (comparison.only_first, comparison.only_second) == (("only-a",), ("only-b",))
    assert comparison.first.outcomes[Outcome.REFINED] == 4
    assert comparison.second.outcomes[Outcome.REJECTED] == 1
    assert comparison.first.mean_drift == pytest.approx(0.05)
    assert comparison.settings == ("refiner.num_steps: 9 -> 5",)
    assert comparison.difference.num_images == 3


def test_figures_against_ground_truth_are_of_the_images_that_both_have(
    comparison: LabelComparison,
) -> None:
    rows = {row.metric: row for row in comparison.rows}
    assert rows["abs_rel"].change.num_images == 3
    assert rows["abs_rel"].refined.mean > rows["abs_rel"].coarse.mean


def test_the_tables(comparison: LabelComparison) -> None:
    text = comparison_markdown(comparison)
    assert "differs: `refiner.num_steps: 9 -> 5`" in text
    assert "4 images in both, 1 in the first alone, 1 in the second alone" in text
    assert "| `broken` | refined / rejected | - | - |" in text
    assert "## Against ground truth" in text
    content = json.loads(comparison_json(comparison), parse_constant=pytest.fail)
    assert content["images"][0]["id"] == "worse"
    assert content["images"][-1]["difference"] is None
    assert content["scores"][0]["metric"] == "abs_rel"


def test_a_comparison_without_ground_truth_has_no_figures(folder: Path) -> None:
    opened = open_labels(str(folder / "a")), open_labels(str(folder / "b"))
    done: list[int] = []
    found = compare_labels(*opened, on_compared=lambda: done.append(1))
    assert found.rows == ()
    assert len(done) == 4
    assert "Against ground truth" not in comparison_markdown(found)


def test_labels_of_a_photograph_that_was_replaced_in_between_are_not_compared(
    tmp_path: Path,
) -> None:
    """The two differ as two scenes do, and not as two recipes."""
    same, other = planted_label("same", 0), planted_label("other", 1)
    replaced = planted_label("other", 9)
    of = {"a": [(same, "1"), (other, "2")], "b": [(same, "1"), (replaced, "3")]}
    urls = [
        write_output(
            tmp_path / name,
            [Label(replace(one.row, sha256=64 * digit), one.arrays) for one, digit in labels],
        )
        for name, labels in of.items()
    ]
    opened = open_labels(urls[0]), open_labels(urls[1])
    found = compare_labels(*opened)
    assert (found.num_replaced, found.difference.num_images) == (1, 1)
    assert found.images[-1].id == "other" and math.isnan(found.images[-1].difference)
    assert found.images[0].difference == pytest.approx(0.0, abs=1e-6)
    text = comparison_markdown(found)
    assert "1 of them labelled from other photographs" in text
    assert json.loads(comparison_json(found))["images"][-1]["same_photograph"] is False
    page = read_comparison(found, *opened, datetime(2026, 1, 2, tzinfo=UTC))
    assert "1 of them labelled from other photographs" in page.headline[0].note
    assert [card.id for card in page.gallery.cards] == ["same"]


def test_nor_are_their_scores(comparison: LabelComparison) -> None:
    replaced = [replace(image, same_photograph=image.id != "worse") for image in comparison.images]
    fewer = replace(comparison, images=tuple(replaced))
    counted = {row.metric: row.change.num_images for row in fewer.rows}
    assert counted["abs_rel"] == 2, "of three"


def test_rows_that_do_not_say_which_bytes_were_labelled_are_compared(
    comparison: LabelComparison,
) -> None:
    assert comparison.num_replaced == 0
    assert "other photographs" not in comparison_markdown(comparison)


def test_kinds_and_sizes_may_differ(tmp_path: Path) -> None:
    label = planted_label("one", 0)
    assert label.arrays is not None
    depth = np.repeat(np.repeat(1.0 / (label.arrays["refined"] + 1.0), 2, axis=0), 2, axis=1)
    second = with_refined(label, depth, DepthKind.METRIC_DEPTH)
    urls = [write_output(tmp_path / name, [one]) for name, one in (("a", label), ("b", second))]
    (found,) = compare_labels(open_labels(urls[0]), open_labels(urls[1])).images
    assert found.correlation > 0.98
    assert found.difference < 0.03


def test_sets_of_other_images_are_refused(tmp_path: Path) -> None:
    urls = [write_output(tmp_path / name, [planted_label(name, 0)]) for name in "ab"]
    with pytest.raises(ConfigError, match="no image in common"):
        compare_labels(open_labels(urls[0]), open_labels(urls[1]))
