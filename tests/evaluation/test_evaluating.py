"""A set of labels with planted errors against ground truth, and what is said of what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from redepth.errors import ConfigError
from redepth.evaluation.evaluate import EvaluationInput, LabelScores, score_labels
from redepth.evaluation.formats import TableFormat
from redepth.evaluation.summary import mean_ause, mean_curves, score_rows, stored_reliability
from redepth.evaluation.tables import (
    as_json,
    as_latex,
    as_markdown,
    conditions,
    left_out_words,
    render,
)
from redepth.evaluation.writing import write_scores
from redepth.metrics.alignments import Alignment
from tests.evaluation.evaluation_samples import (
    planted_label,
    rejected,
    true_depth,
    without_confidence,
    write_output,
    write_truth,
)

SEEDS = {f"image-{seed}": seed for seed in range(6)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six labels, the last of which fell back, a rejected image, and six depth files."""
    folder = tmp_path_factory.mktemp("judged")
    labels = [planted_label(image_id, seed) for image_id, seed in SEEDS.items()]
    labels[-1] = without_confidence(labels[-1])
    write_output(folder / "labels", [*labels, rejected("broken")])
    write_truth(folder / "truth", SEEDS)
    return folder


@pytest.fixture(scope="module")
def scores(folder: Path) -> LabelScores:
    labels, pairing = EvaluationInput(
        str(folder / "labels"), folder / "truth", "tum", partial=False
    ).open()
    done: list[int] = []
    found = score_labels(labels, pairing, "tum", Alignment.REDEPTH, lambda: done.append(1))
    assert len(done) == 6
    return found


def test_every_labelled_image_is_measured(scores: LabelScores) -> None:
    assert [image.id for image in scores.images] == list(SEEDS)
    assert scores.num_without_label == 1
    assert not scores.unmeasured
    first = scores.images[0]
    assert first.num_pixels == 24 * 32
    assert first.depth_range.lowest == pytest.approx(1.5)
    assert first.depth_range.highest == pytest.approx(true_depth(0).max())


def test_the_planted_errors_are_found(scores: LabelScores) -> None:
    rows = {row.metric: row for row in score_rows(scores.images[:5])}
    normal_mean = math.sqrt(2 / math.pi)
    assert rows["abs_rel"].coarse.mean == pytest.approx(0.1 * normal_mean, rel=0.15)
    assert rows["abs_rel"].refined.mean == pytest.approx(0.05 * normal_mean, rel=0.15)
    assert rows["abs_rel"].verdict == rows["delta_1_05"].verdict == "better"
    assert rows["abs_rel"].share_better == rows["delta_1_05"].share_better == 1.0
    assert rows["abs_rel"].relative_change == pytest.approx(-0.5, abs=0.1)
    assert "edge_f1" not in rows, "a depth camera's depth has no edges"


def test_an_image_that_fell_back_has_two_equal_maps_and_no_confidence(
    scores: LabelScores,
) -> None:
    fell_back = scores.images[-1]
    assert fell_back.coarse == fell_back.refined
    assert math.isnan(fell_back.ause)
    assert fell_back.pixels is None


def test_a_spread_that_is_the_error_orders_it(scores: LabelScores) -> None:
    found = mean_ause(scores.images)
    assert found.num_images == 5
    assert found.mean < 0.3
    curves = mean_curves([image.sparsification for image in scores.images])
    assert curves is not None
    assert (curves.curve_k >= curves.oracle_k - 1e-12).all()


def test_a_confidence_is_judged_as_a_probability(scores: LabelScores) -> None:
    found = stored_reliability(scores.images, within=1.05)
    assert found is not None
    assert sum(entry.num_pixels for entry in found.bins) == 5 * 24 * 32
    assert 0.5 < found.share_right < 0.85
    assert stored_reliability(scores.images[-1:], 1.25) is None
    assert mean_curves([scores.images[-1].sparsification]) is None


def test_the_markdown_says_how_it_was_measured(scores: LabelScores) -> None:
    text = as_markdown(scores)
    assert "alignment: redepth" in text
    assert "z-depth in m; format tum" in text
    assert "6 measured, 0 not measurable, 0 without ground truth, 1 without label" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| AbsRel ↓ |")]
    assert "better |" in row
    assert row.count("[") == 3
    assert "| `image-0` | refined | 768 | 1.5 /" in text
    assert "UNTRAINED" not in text


def test_the_latex_is_a_booktabs_table(scores: LabelScores) -> None:
    lines = as_latex(scores).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert len(body) == len(score_rows(scores.images))
    assert all(line.count("&") == 4 and line.endswith(r"\\") for line in body)
    assert body[0].startswith(r"AbsRel $\downarrow$ & 0.0")
    assert not any(sign in "".join(body) for sign in "↓↑δ²³")


def test_names_stay_letters_in_every_table(scores: LabelScores) -> None:
    evil = "x\n\\input{secret}\n# ![a](http://evil/a.png) | \x1b[2J"
    image = replace(scores.images[0], id=evil)
    hostile = replace(scores, labels=evil, recipe=evil, images=(image,), unmeasured={evil: evil})
    assert "\n\\input" not in as_latex(hostile)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(as_markdown(hostile))
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "code_inline"}
    assert [t.type for t in tokens].count("heading_open") == 5
    assert "\x1b" not in as_latex(hostile) + as_markdown(hostile) + as_json(hostile)


def test_the_json_holds_everything_and_no_nan(scores: LabelScores) -> None:
    content = json.loads(as_json(scores), parse_constant=pytest.fail)
    assert [image["id"] for image in content["images"]] == list(SEEDS)
    assert content["images"][0]["refined"]["edge_f1"] is None
    assert content["images"][0]["ground_truth"].endswith("image-0.png")
    assert content["scores"][0]["metric"] == "abs_rel"
    assert content["reliability"]["within"] == 1.05, "what the recipe's mapping was fitted for"


def test_all_formats_are_written_with_the_pictures(scores: LabelScores, tmp_path: Path) -> None:
    written = write_scores(scores, tmp_path / "new" / "folder")
    assert {path.name for path in written} == {
        "evaluation.md",
        "evaluation.tex",
        "evaluation.json",
        "sparsification.png",
        "risk-coverage.png",
        "reliability.png",
    }
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.size == (600, 440)
    assert render(scores, TableFormat.LATEX) == written[1].read_text(encoding="utf-8")


def test_labels_without_ground_truth_are_named(folder: Path, tmp_path: Path) -> None:
    some = write_truth(tmp_path, {"image-0": 0, "other": 3})
    url = str(folder / "labels")
    with pytest.raises(
        ConfigError, match=r"(?s)5 of 6.*/photos/image-1\.png.*other\.png.*--partial"
    ):
        EvaluationInput(url, some, "tum", partial=False).open()
    _, pairing = EvaluationInput(url, some, "tum", partial=True).open()
    assert list(pairing.pairs) == ["image-0"]
    assert len(pairing.unmatched) == 5
    _, pairing = EvaluationInput(url, some, "tum", partial=False, where="id = 'image-0'").open()
    assert list(pairing.pairs) == ["image-0"]


def test_nothing_that_pairs_is_refused_even_in_part(folder: Path, tmp_path: Path) -> None:
    other = write_truth(tmp_path, {"other": 3})
    with pytest.raises(ConfigError, match="6 of 6"):
        EvaluationInput(str(folder / "labels"), other, "tum", partial=True).open()


def test_an_image_without_a_known_pixel_is_said_and_left_out(tmp_path: Path) -> None:
    url = write_output(tmp_path / "labels", [planted_label(f"image-{i}", i) for i in range(2)])
    truth = write_truth(tmp_path / "truth", {"image-0": 0, "image-1": 1})
    Image.fromarray(np.zeros((24, 32), dtype=np.uint16)).save(truth / "depth" / "image-1.png")
    labels, pairing = EvaluationInput(url, truth, "tum", partial=False).open()
    found = score_labels(labels, pairing, "tum", Alignment.REDEPTH)
    assert [image.id for image in found.images] == ["image-0"]
    assert "no pixel" in found.unmeasured["image-1"]
    assert "`image-1`: `no pixel" in as_markdown(found)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a page of a server": lambda content: b"<html>not found</html>",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_file_is_named_and_in_part_the_rest_is_measured(
    damage: str, tmp_path: Path
) -> None:
    url = write_output(tmp_path / "labels", [planted_label(f"image-{i}", i) for i in range(3)])
    truth = write_truth(tmp_path / "truth", {f"image-{i}": i for i in range(3)})
    damaged = truth / "depth" / "image-1.png"
    damaged.write_bytes(DAMAGES[damage](damaged.read_bytes()))
    whole = EvaluationInput(url, truth, "tum")
    with pytest.raises(ConfigError, match=rf"{damaged} cannot be read.*--partial leaves it out"):
        score_labels(*whole.open(), "tum")
    found = score_labels(*whole.open(), "tum", partial=True)
    assert [image.id for image in found.images] == ["image-0", "image-2"]
    assert list(found.unreadable) == ["image-1"]
    (words,) = left_out_words(found)
    assert words.startswith("images left out, their ground truth cannot be read: 1 (image-1: ")
    assert str(damaged) in words
    assert "- images left out, their ground truth cannot be read: 1" in as_markdown(found)
    assert f"`image-1`: `{damaged}" in as_markdown(found)
    assert str(damaged) in json.loads(as_json(found))["unreadable"]["image-1"]


def test_an_alignment_without_meaning_is_refused_in_part_as_well(folder: Path) -> None:
    opened = EvaluationInput(str(folder / "labels"), folder / "truth", "tum").open()
    with pytest.raises(ConfigError, match="none does not go with"):
        score_labels(*opened, "tum", Alignment.NONE, partial=True)


def test_ground_truth_of_which_no_file_can_be_read_is_refused(tmp_path: Path) -> None:
    url = write_output(tmp_path / "labels", [planted_label("image-0", 0)])
    truth = write_truth(tmp_path / "truth", {"image-0": 0})
    (truth / "depth" / "image-0.png").write_bytes(b"")
    opened = EvaluationInput(url, truth, "tum", partial=True).open()
    with pytest.raises(ConfigError, match=r"none of 1 files .*image-0\.png"):
        score_labels(*opened, "tum", partial=True)


def test_what_contradicts_or_is_ambiguous_is_refused_and_in_part_counted(tmp_path: Path) -> None:
    """A scene's number differs; of another image there are two files; the third is a pair."""
    labels = [planted_label(f"image-{i}", i) for i in range(3)]
    places = {"image-0": "scene0000/color", "image-1": "room", "image-2": "house/room"}
    labels = [
        replace(one, row=replace(one.row, uri=f"/photos/{places[one.row.id]}/{one.row.id}.png"))
        for one in labels
    ]
    url = write_output(tmp_path / "labels", labels)
    truth = tmp_path / "truth"
    for folder, name in (
        ("scene0777", "image-0"), ("room", "image-1"), ("a/room", "other"), ("room", "image-2"),
        ("house", "image-2"),
    ):  # fmt: skip
        write_truth(truth / folder, {name: int(name[-1]) if name != "other" else 3}, exist_ok=True)
    contradicting = truth / "scene0777/depth/image-0.png"
    with pytest.raises(
        ConfigError,
        match=rf"(?s)2 of 3 .*\(1 fit several, 1 contradict the file of their name\).*"
        rf"/photos/scene0000/color/image-0\.png: {contradicting} has its name, but.*\.csv",
    ):
        EvaluationInput(url, truth, "tum").open()
    found = score_labels(*EvaluationInput(url, truth, "tum", partial=True).open(), "tum")
    assert [image.id for image in found.images] == ["image-1"]
    assert found.contradicting == {"image-0": str(contradicting)}
    assert list(found.ambiguous) == ["image-2"]
    said = "\n".join(left_out_words(found))
    assert "images left out, several fit one file or several files fit: 1 (image-2: " in said
    assert f"folders that contradict theirs: 1 (image-0: {contradicting})" in said
    content = json.loads(as_json(found))
    assert content["contradicting"] == {"image-0": str(contradicting)}
    assert len(content["ambiguous"]["image-2"]) == 2


def test_disparity_and_untrained_models_are_said(tmp_path: Path) -> None:
    url = write_output(tmp_path / "labels", [planted_label("im2", 0)], untrained=True)
    (tmp_path / "truth").mkdir()
    disparity = (20.0 / true_depth(0)).astype(np.float32)
    Image.fromarray(disparity).save(tmp_path / "exact.tif")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("uri,ground_truth\nim2.png,exact.tif\n", encoding="utf-8")
    labels, pairing = EvaluationInput(url, pairs, "middlebury", partial=False).open()
    found = score_labels(labels, pairing, "middlebury", Alignment.REDEPTH)
    said = "\n".join(conditions(found))
    assert "scale_shift_disparity, fitted to the disparity (asked for: redepth)" in said
    assert "disparity in px" in said
    assert "UNTRAINED" in as_markdown(found)
    assert as_latex(found).startswith("% UNTRAINED")


def test_an_alignment_without_meaning_is_refused(folder: Path) -> None:
    labels, pairing = EvaluationInput(
        str(folder / "labels"), folder / "truth", "tum", partial=False
    ).open()
    with pytest.raises(ConfigError, match="none does not go with"):
        score_labels(labels, pairing, "tum", Alignment.NONE)
