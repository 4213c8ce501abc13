"""Labels read through views: the surest pixels alone, and a confidence that was fitted later."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from redepth.confidence.files import FittedConfidence, read_mapping
from redepth.confidence.mapping import ConfidenceMapping, Intervals
from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.views import surest
from redepth.torch_data.datasets import LabelMaps
from tests.evaluation.evaluation_samples import planted_label, without_confidence, write_output

MAPPING = ConfidenceMapping.model_validate({"within": 1.1, "intercept": 0.0, "slope": -0.5})
INTERVALS = Intervals.model_validate(
    {
        "guarantee": "pixels",
        "is_metric": False,
        "error": {"intercept": -2.0, "far": 0.1},
        "factors": [2.0],
        "num_images": 20,
    }
)
FITTED = FittedConfidence(MAPPING, INTERVALS)


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    made = [planted_label("a", 0), planted_label("b", 1), without_confidence(planted_label("c", 2))]
    return open_labels(write_output(tmp_path / "labels", made))


def test_exactly_the_share_is_kept_and_the_surest() -> None:
    confidence = np.array([[0.9, np.nan, 0.5], [0.5, 0.1, 0.7]], dtype=np.float16)
    assert surest(confidence, 0.6).tolist() == [[True, False, True], [False, False, True]]
    assert surest(confidence, 1.0).sum() == 5
    assert not surest(np.full((2, 2), np.nan), 0.5).any()


def test_of_every_image_the_unsure_pixels_are_unknown_in_all_maps(labels: Labels) -> None:
    kept, whole = labels.keep("70%")["a"], labels["a"]
    known = np.isfinite(kept.refined)
    assert known.sum() == np.ceil(0.7 * known.size)
    assert np.array_equal(kept.refined[known], whole.refined[known])
    assert whole.confidence[~known].max() <= whole.confidence[known].min()
    for name in ("coarse", "spread", "confidence"):
        assert np.array_equal(np.isfinite(kept[name]), known)
    assert np.isnan(labels.keep(0.7)["c"].refined).all(), "it has no confidence"


def test_views_stay_with_what_is_chosen_and_cross_processes(labels: Labels) -> None:
    seen = labels.calibrated(FITTED).keep(0.5).where("id = 'a'")
    for one in (seen, pickle.loads(pickle.dumps(seen)), seen.reopened(), seen.with_maps()):
        assert list(one) == ["a"]
        assert np.isfinite(one["a"]["upper"]).mean() == pytest.approx(0.5, abs=1e-3)


def test_a_later_confidence_is_read_in_place_of_the_stored_one(labels: Labels) -> None:
    seen = labels.calibrated(FITTED)
    label = seen["a"]
    assert {"lower", "upper"} <= set(seen.quantities)
    assert "lower" not in labels.quantities
    assert not np.allclose(label.confidence, labels["a"].confidence)
    assert (label["lower"] < label.refined).all() and (label.refined < label["upper"]).all()
    assert np.isnan(seen["c"].confidence).all() and np.isnan(seen["c"]["lower"]).all()
    assert seen.dataset.recorded.confidence_within == 1.1
    assert seen.dataset.recorded.promised_coverage == 0.9


def test_labels_without_the_map_of_a_cue_are_refused(labels: Labels) -> None:
    other = ConfidenceMapping.model_validate({"within": 1.1, "intercept": 0.0, "mirror": -0.5})
    with pytest.raises(ConfigError, match="looks at mirror_change"):
        labels.calibrated(FittedConfidence(other))


@pytest.mark.parametrize("share", ["7", "0%", "many", 1.5])
def test_what_is_no_share_is_refused(labels: Labels, share: str | float) -> None:
    with pytest.raises(ConfigError, match="share"):
        labels.keep(share)


@pytest.mark.parametrize("format", ["npy", "png16", "hf-parquet"])
def test_an_export_holds_what_is_kept_and_says_so(
    labels: Labels, tmp_path: Path, format: str
) -> None:
    chosen = labels.where("id != 'c'")
    request = ExportRequest(format, ("refined", "lower"), keep=0.25, fitted=FITTED)
    export_labels(chosen, str(tmp_path / "export"), request)
    export = open_export(str(tmp_path / "export"))
    assert np.isfinite(export.read("a", "refined")).mean() == pytest.approx(0.25, abs=2e-3)
    facts = json.loads((tmp_path / "export" / "export.json").read_text(encoding="utf-8"))
    assert facts["request"]["keep"] == 0.25
    assert facts["request"]["calibration"]["confidence_mapping"]["slope"] == -0.5
    meaning = facts["quantities"]["lower"]["meaning"]
    assert meaning == labels.calibrated(FITTED).dataset.recorded.meanings["lower"].as_json()
    assert "90% of the pixels of new images" in meaning["sense"]
    assert "20 calibrated on" in meaning["domain"]


def test_an_export_without_any_confidence_cannot_keep_the_surest(
    labels: Labels, tmp_path: Path
) -> None:
    request = ExportRequest("npy", ("refined",), keep=0.5)
    with pytest.raises(ConfigError, match=r"no label of .* has a confidence"):
        export_labels(labels.where("id = 'c'"), str(tmp_path / "export"), request)


def test_a_torch_data_set_holds_what_is_kept(labels: Labels) -> None:
    sample = LabelMaps(labels, ("refined",), keep="50%")[0]
    assert sample["refined"].isfinite().float().mean().item() == pytest.approx(0.5, abs=1e-3)


def test_a_mapping_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps(FITTED.as_json()), encoding="utf-8")
    assert read_mapping(path) == FITTED
