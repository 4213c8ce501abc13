"""What is exported comes back: every format, kind, size and value, within the stated precision."""

from __future__ import annotations

import gc
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import datasets
import numpy as np
import OpenEXR
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from redepth.errors import ConfigError, IntegrityError
from redepth.exports import exr, hf_parquet, npy, png16
from redepth.exports import webdataset as wds_format
from redepth.exports.items import Item, file_names
from redepth.exports.part import CATALOGUE, Contents, ExportSettings, MapFacts, Place
from redepth.exports.reading import Export, open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import LAYOUT, begin_export, export_labels
from redepth.quantities import (
    ALWAYS,
    CONFIDENCE,
    REFINED,
    AnyMap,
    Quantity,
    confidence_words,
)
from redepth.store.reader import Labels
from redepth.types import DepthKind, FloatMap, LabelRow, Outcome
from tests.exports.export_samples import (
    HOLDING_NUMBERS,
    IDS,
    some_maps,
    write_labels,
    write_photographs,
)

KINDS = tuple(DepthKind)
STORED = tuple(quantity.name for quantity in ALWAYS)
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
MAPS = SIZES.flatmap(
    lambda size: hnp.arrays(
        np.float32,
        size,
        elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.just(float("nan")),
    )
)
SHARES = SIZES.flatmap(lambda s: hnp.arrays(np.float32, s, elements=st.floats(0, 1, width=32)))


def assert_within(read_hw: FloatMap, map_hw: FloatMap, precision: float) -> None:
    """Hold a map to the stated precision, and the rounding of the float32 that it comes back as."""
    assert read_hw.dtype == np.float32
    assert read_hw.shape == map_hw.shape
    np.testing.assert_array_equal(np.isnan(read_hw), np.isnan(map_hw))
    valid = np.isfinite(map_hw)
    difference = np.abs(read_hw[valid].astype(np.float64) - map_hw[valid])
    largest = np.max(np.abs(map_hw[valid]), initial=0.0)
    assert np.all(difference <= precision * (1 + 1e-6) + 1.2e-7 * largest + 1e-45)


def png_round_trip(map_hw: AnyMap, quantity: Quantity, kind: DepthKind) -> tuple[AnyMap, float]:
    scaling = png16.choose_scaling(map_hw, quantity, kind, metric_scale=1000.0)
    sidecar = png16.sidecar(MapFacts("x", quantity, kind), scaling, num_lost=0)
    stated = json.loads(sidecar)["precision"]
    return png16.decode(png16.encode(map_hw, scaling), sidecar), stated


@given(MAPS, st.sampled_from([DepthKind.AFFINE_DISPARITY, DepthKind.AFFINE_DEPTH]))
def test_png16_of_a_kind_without_a_unit_takes_any_value(map_hw: FloatMap, kind: DepthKind) -> None:
    read_hw, precision = png_round_trip(map_hw, REFINED, kind)
    assert_within(read_hw, map_hw, precision)
    valid = map_hw[np.isfinite(map_hw)].astype(np.float64)
    if valid.size and np.ptp(valid) > 0:
        assert precision == pytest.approx(np.ptp(valid) / 65534 / 2)


@given(SIZES.flatmap(lambda s: hnp.arrays(np.float32, s, elements=st.floats(0, 80, width=32))))
def test_png16_of_metres_is_in_millimetres(map_hw: FloatMap) -> None:
    read_hw, precision = png_round_trip(map_hw, REFINED, DepthKind.METRIC_DEPTH)
    assert precision == 0.0005
    fits = (np.rint(map_hw.astype(np.float64) * 1000) >= 1) & (map_hw < 65.535)
    assert_within(read_hw, np.where(fits, map_hw, np.nan).astype(np.float32), precision)


@given(SHARES, st.sampled_from(KINDS))
def test_png16_of_confidence_has_one_scale(map_hw: FloatMap, kind: DepthKind) -> None:
    read_hw, precision = png_round_trip(map_hw, CONFIDENCE, kind)
    assert precision == pytest.approx(0.5 / 65534)
    assert_within(read_hw, map_hw, precision)


@given(MAPS)
def test_npy_and_exr_are_exact(map_hw: FloatMap) -> None:
    np.testing.assert_array_equal(npy.decode(npy.encode(map_hw)), map_hw)
    np.testing.assert_array_equal(exr.decode(exr.encode(map_hw, {"kind": "x"})), map_hw)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MAPS, min_size=1, max_size=3), st.sampled_from(KINDS))
def test_shards_are_exact(maps: list[FloatMap], kind: DepthKind) -> None:
    items = [
        Item(
            LabelRow(id=f"{i}", uri="u", outcome=Outcome.REFINED, kind=kind), f"n{i}", {REFINED: m}
        )
        for i, m in enumerate(maps)
    ]
    with TemporaryDirectory() as folder:
        tar, parquet = Path(folder, "tar"), Path(folder, "parquet")
        for path, module in ((tar, wds_format), (parquet, hf_parquet)):
            module.write_shard(path, items, Contents((REFINED,)), ExportSettings())
        for path, module in ((tar, wds_format), (parquet, hf_parquet)):
            for i, map_hw in enumerate(maps):
                with path.open("rb") as file:
                    read_hw = module.read_map(file, Place(f"{i}", "s", f"n{i}"), "refined")
                assert read_hw.dtype == np.float32
                np.testing.assert_array_equal(read_hw, map_hw)
            with path.open("rb") as file, pytest.raises(KeyError):
                module.read_map(file, Place("nobody", "s", "nobody"), "refined")


@given(st.text(min_size=1), st.text(min_size=1))
def test_file_names_are_safe_and_distinct(one: str, other: str) -> None:
    try:
        names = file_names([one, other])
    except UnicodeEncodeError:
        return
    if one != other:
        assert names[0].lower() != names[1].lower()
    assert all(re.fullmatch(r"[A-Za-z0-9_%-]{1,200}", name) for name in names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_an_output_comes_back(format: str, kind: DepthKind, tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), kind)
    export = exported(labels, tmp_path / "export", ExportRequest(format, STORED))
    assert sorted(export.ids) == sorted(IDS)
    assert export.facts["complete"] is True
    for image_id in IDS:
        for quantity in STORED:
            stored = labels[image_id][quantity]
            precision = 0.0
            if format == "png16":
                sidecar = tmp_path / "export" / quantity / f"{file_names([image_id])[0]}.json"
                precision = json.loads(sidecar.read_text())["precision"]
            assert_within(export.read(image_id, quantity), stored, precision)


def exported(labels: Labels, out: Path, request: ExportRequest) -> Export:
    export_labels(labels, str(out), request)
    return open_export(str(out))


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_the_sidecar_says_what_the_numbers_are(format: str, tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.METRIC_DEPTH)
    facts = exported(labels, tmp_path / "export", ExportRequest(format)).facts["quantities"]
    assert set(facts) == {"refined", "confidence"}
    refined = facts["refined"]
    assert (refined["kind"], refined["unit"]) == ("metric_depth_m", "m")
    assert refined["type"] == ("uint16" if format == "png16" else "float32")
    assert refined["invalid"] == (0 if format == "png16" else "NaN")
    for described in facts.values():
        assert {"kind", "unit", "type", "scale", "invalid", "precision"} <= set(described)


def test_other_readers_see_the_same_png_and_exr(tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.METRIC_DEPTH)
    for format in ("png16", "exr"):
        exported(labels, tmp_path / format, ExportRequest(format, ("refined",)))
    expected = labels["f"].refined
    with Image.open(tmp_path / "png16" / "refined" / "f.png") as picture:
        assert picture.mode == "I;16"
        millimetres = np.asarray(picture)
    assert millimetres[0, 0] == 0, "NaN"
    np.testing.assert_allclose(millimetres[1:] / 1000, expected[1:], atol=0.00051)
    with OpenEXR.File(str(tmp_path / "exr" / "refined" / "f.exr")) as file:
        assert file.header()["kind"] == "metric_depth_m"
        np.testing.assert_array_equal(file.channels()["Y"].pixels, expected)


def test_pixels_beyond_sixteen_bits_are_counted(tmp_path: Path) -> None:
    maps = {"near": np.full((2, 2), 60, np.float32), "far": np.full((2, 3), 70, np.float32)}
    labels = write_labels(str(tmp_path / "labels"), maps, DepthKind.METRIC_DEPTH)
    request = ExportRequest("png16", ("refined",))
    assert export_labels(labels, str(tmp_path / "mm"), request).num_lost == 6
    sidecar = json.loads((tmp_path / "mm" / "refined" / "far.json").read_text())
    assert sidecar["num_out_of_range"] == 6
    assert np.isnan(open_export(str(tmp_path / "mm")).read("far", "refined")).all()
    kitti = ExportRequest("png16", ("refined",), settings={"metric_scale": "256"})
    assert export_labels(labels, str(tmp_path / "kitti"), kitti).num_lost == 0
    assert_within(open_export(str(tmp_path / "kitti")).read("far", "refined"), maps["far"], 1 / 512)


def test_datasets_reads_the_parquet_files(tmp_path: Path) -> None:
    write_photographs(tmp_path, len(IDS))
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    request = ExportRequest("hf-parquet", with_images=True)
    exported(labels, tmp_path / "export", request)
    files = str(tmp_path / "export" / "data" / "*.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert sorted(loaded["id"]) == sorted(IDS)
    for example in loaded.with_format("numpy"):
        np.testing.assert_array_equal(example["refined"], labels[example["id"]].refined)
        assert example["image"].shape == (*example["refined"].shape, 3)
    assert loaded[0]["image"].size == (7, loaded[0]["height_px"])
    assert loaded.features["caption"].dtype == "string"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the library leaves them so
def test_webdataset_reads_the_tars(tmp_path: Path) -> None:
    write_photographs(tmp_path, len(IDS))
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    request = ExportRequest("webdataset", with_images=True)
    exported(labels, tmp_path / "export", request)
    files = sorted(str(path) for path in (tmp_path / "export" / "data").glob("*.tar"))
    samples = list(webdataset.WebDataset(files, shardshuffle=False).decode("rgb8"))
    assert sorted(sample["json"]["id"] for sample in samples) == sorted(IDS)
    for sample in samples:
        stored = labels[sample["json"]["id"]]
        np.testing.assert_array_equal(sample["refined.npy"], stored.refined)
        np.testing.assert_array_equal(sample["confidence.npy"], stored.confidence)
        assert sample["image.png"].shape == (*stored.refined.shape, 3)
        assert sample["json"]["kind"] == "affine_invariant_depth"
    del samples, sample
    gc.collect()  # here, and not in another test that minds


def test_an_unknown_quantity_or_setting_is_refused(tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    with pytest.raises(
        ConfigError, match=r"expected some of coarse, .*, got depth; .* holds no other"
    ):
        begin_export(labels, str(tmp_path / "export"), ExportRequest("npy", ("depth",)))
    assert not (tmp_path / "export").exists()
    with pytest.raises(ConfigError, match="nothing"):
        ExportRequest("npy", ())
    with pytest.raises(ConfigError, match=r"metric_scale: .*greater than 0 \(got 0\)"):
        ExportRequest("png16", settings={"metric_scale": 0})
    with pytest.raises(ConfigError, match=r"metric_scale: .*finite"):
        ExportRequest("png16", settings={"metric_scale": "inf"})
    with pytest.raises(ConfigError, match=r"(?s)format npy \(it has: none\):.*metric_scale"):
        ExportRequest("npy", settings={"metric_scale": 256})


def test_an_id_longer_than_a_disk_takes_has_a_name_of_its_own() -> None:
    ids = ["x" * 5000, "x" * 5001, "\N{HAMMER}" * 60, "../" * 90, "x" * 160, "x" * 200]
    names = file_names(ids)
    assert len(set(names)) == len(ids)
    assert all(len(name) <= 200 for name in names)
    assert not [name for name in names if "/" in name or "." in name]
    assert names[-1] == "x" * 200, "what fits is as it was"


def test_labels_are_no_export(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no export\.json$"):
        open_export(str(tmp_path))
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    with pytest.raises(ConfigError, match=r"these are labels, open them with redepth\.open_labels"):
        open_export(labels.url)


def test_an_export_of_a_stranger_leads_nowhere(tmp_path: Path) -> None:
    facts = {"request": {"format": "webdataset"}, "layout": LAYOUT}
    (tmp_path / "export.json").write_text(json.dumps(facts))
    out = {"id": ["a", "b"], "shard": ["../../etc/passwd", "s"], "name": ["a", "../../etc/passwd"]}
    pq.write_table(pa.table(out), tmp_path / CATALOGUE)
    with pytest.raises(IntegrityError, match="no name of a shard"):
        open_export(str(tmp_path)).read("a", "refined")
    with pytest.raises(IntegrityError, match="no name that redepth gives a file"):
        open_export(str(tmp_path)).read("b", "refined")


@pytest.mark.parametrize("facts", ["[]", "7", '{"request": {"format": "pickle"}}', "[" * 99999])
def test_an_export_that_says_nothing_is_refused(tmp_path: Path, facts: str) -> None:
    (tmp_path / "export.json").write_text(facts)
    with pytest.raises(IntegrityError, match="not readable"):
        open_export(str(tmp_path))


def test_the_sidecar_says_what_this_confidence_means(tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    facts = exported(labels, tmp_path / "export", ExportRequest("npy")).facts["quantities"]
    within = labels.dataset.recorded.confidence_within
    assert within == 1.05
    assert facts["confidence"]["kind"] == confidence_words(within), "as the report says"
