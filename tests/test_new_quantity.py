"""A new quantity is one entry and who computes it: nothing else in redepth knows its name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from redepth.config import LabelSettings, Storage, load_recipe
from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.labelling.labeller import Labeller
from redepth.quantities import ALWAYS, VALID, Quantity, Validity
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.report.gallery import fetch_picture
from redepth.report.layers import layers_of
from redepth.report.pictures import draw_label
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from redepth.torch_data.datasets import LabelMaps
from redepth.types import (
    ByteImage,
    CoarseDepth,
    DepthKind,
    ImageRef,
    LabelArrays,
    Members,
    ModelCard,
    Outcome,
)
from tests.exports.export_samples import HOLDING_NUMBERS
from tests.store.store_samples import shard_plans

# One entry each, as a package of one's own has them; no list of redepth's is changed.
NORMALS = Quantity(
    "normals", "unit normals of the surface", "none", dtype="float16", channels=3, range=(-1.0, 1.0)
)
FACES = Quantity("faces", "which face of the room", "code", dtype="uint8", range=(0.0, 5.0))
RECIPE = load_recipe("mini")
SIZES = {"a": (16, 18), "b": (17, 16)}


@dataclass
class SeesFaces:
    """A coarse model that brings a map of codes with its depth."""

    kind = DepthKind.AFFINE_DEPTH
    card = ModelCard("coarse", "faces", "here", None, "0" * 64, "none")

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return height_px, width_px

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        grey_hw = rgb_hw3.mean(axis=2, dtype=np.float32)
        return CoarseDepth(grey_hw, self.kind, extra={FACES: (grey_hw / 52).astype(np.uint8)})


@dataclass
class SeesNormals(IdentityRefiner):
    """And a refiner that brings normals; it refuses the picture called b."""

    def refine(self, scene: RefinementInput) -> Members:
        map_hw = scene.coarse.map_hw
        normals_hw3 = np.stack([np.sin(map_hw), np.cos(map_hw), 0 * map_hw], axis=2)
        refused = "it is called b" if scene.image_id == "b" else None
        return Members(map_hw[None] + 1, refused=refused, extra={NORMALS: normals_hw3})


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    folder = tmp_path_factory.mktemp("quantities")
    labeller = Labeller(LabelSettings(), SeesFaces(), SeesNormals(), "cpu")
    refs = []
    for seed, (name, size_hw) in enumerate(SIZES.items()):
        pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        refs.append(ImageRef(name, str(folder / f"{name}.png")))
    out = str(folder / "labels")
    begin(out, RECIPE, labeller.cards)
    (plan,) = shard_plans(plan_labels(refs, out, RECIPE))
    write_shard(out, plan, map(labeller.label, refs), Storage())
    return open_labels(out)


def expected_normals(labels: Labels) -> np.ndarray:
    coarse_hw = labels["a"].coarse
    exact = np.stack([np.sin(coarse_hw), np.cos(coarse_hw), 0 * coarse_hw], axis=2)
    return exact.astype(np.float16).astype(np.float32)


def test_the_store_says_what_it_holds_and_gives_it_back(labels: Labels) -> None:
    stored = labels.quantities
    assert list(stored) == [*(one.name for one in ALWAYS), "valid", "faces", "normals"]
    assert stored["normals"] == NORMALS and stored["faces"] == FACES
    np.testing.assert_array_equal(labels["a"]["normals"], expected_normals(labels))
    faces_hw = labels["a"]["faces"]
    assert faces_hw.dtype == np.uint8
    np.testing.assert_array_equal(faces_hw, (labels["a"].coarse / 52).astype(np.uint8))
    assert (labels["a"]["valid"] == Validity.VALID).all()


def test_a_label_that_falls_back_keeps_what_the_coarse_model_saw_alone(labels: Labels) -> None:
    label = labels["b"]
    assert label.row.outcome is Outcome.FELL_BACK
    assert label["normals"].shape == (17, 16, 3) and np.isnan(label["normals"]).all()
    assert label["faces"].any()


def test_verification_goes_by_what_is_stated(labels: Labels) -> None:
    found = verify_labels(labels.url)
    assert found.problems == ()
    assert set(found.quantities) == set(labels.quantities)
    four = verify_labels(labels.url, quantities=[quantity.name for quantity in ALWAYS])
    assert four.content_digest != found.content_digest
    with pytest.raises(ConfigError, match="no label here has a map called points"):
        verify_labels(labels.url, quantities=["points"])


def test_a_value_beyond_the_stated_range_is_a_problem(labels: Labels, tmp_path: Path) -> None:
    (group,) = Path(labels.url).glob("arrays/*/zarr.json")
    said = json.loads(group.read_text())
    for stated in said["attributes"]["quantities"]:
        if stated["name"] == "faces":
            stated["range"] = [0.0, 1.0]
    before = group.read_text()
    group.write_text(json.dumps(said))
    try:
        problems = verify_labels(labels.url).problems
    finally:
        group.write_text(before)
    assert len(problems) == 2
    assert all("faces is not within its range, 0 to 1" in problem for problem in problems)


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_every_export_takes_it(format: str, labels: Labels, tmp_path: Path) -> None:
    names = ("normals", "faces", "valid")
    assert export_labels(labels, str(tmp_path), ExportRequest(format, names)).num_lost == 0
    export = open_export(str(tmp_path))
    described = export.facts["quantities"]["normals"]
    assert described["channels"] == 3 and described["kind"] == NORMALS.meaning
    for image_id in SIZES:
        for name in names:
            came = export.read(image_id, name).astype(np.float32)
            stored = labels[image_id][name].astype(np.float32)
            np.testing.assert_allclose(came, stored, atol=1.6e-5 if format == "png16" else 0)


def test_torch_gets_channels_first_and_codes_as_they_are(labels: Labels) -> None:
    sample = LabelMaps(labels, ("normals", "faces"))[0]
    assert sample["normals"].dtype == torch.float32 and sample["normals"].shape == (3, 16, 18)
    np.testing.assert_array_equal(
        sample["normals"].numpy(), np.moveaxis(expected_normals(labels), 2, 0)
    )
    assert sample["faces"].dtype == torch.uint8
    with pytest.raises(ConfigError, match=r"expected some of coarse, .*, normals, got points"):
        LabelMaps(labels, ("points",))


def test_pictures_and_pages_show_it(labels: Labels) -> None:
    photographs = labels.photographs(["/"])
    picture = fetch_picture(labels["a"], photographs)
    assert {quantity.name for quantity in picture.extra} == {"normals", "faces"}
    shown = [layer.name for layer in layers_of(picture)]
    assert {"normals", "faces"} <= set(shown) and "valid" not in shown
    more = fetch_picture(labels["a"], photographs, also=["valid"])
    assert [quantity.name for quantity in more.extra] == ["valid", "faces", "normals"]
    assert draw_label(picture).startswith(b"\x89PNG")


def test_labels_of_one_shard_hold_the_same(labels: Labels, tmp_path: Path) -> None:
    refs = tuple(ImageRef(name, labels[name].row.uri) for name in SIZES)
    with_both = Labeller(LabelSettings(), SeesFaces(), SeesNormals(), "cpu")
    without = Labeller(LabelSettings(), SeesFaces(), IdentityRefiner(), "cpu")
    begin(str(tmp_path), RECIPE, with_both.cards)
    made = [with_both.label(refs[0]), without.label(refs[1])]
    with pytest.raises(ConfigError, match="must return the same extra maps for every image"):
        write_shard(str(tmp_path), ShardPlan("a" * 16, "a" * 16, refs), made, Storage())


MAP_HW = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({NORMALS: MAP_HW}, r"normals: expected float32 \[H, W, 3\]"),
        ({NORMALS: np.zeros((2, 3, 3))}, r"got float64 \(2, 3, 3\)"),
        ({NORMALS: np.zeros((3, 3, 3), np.float32)}, "not of the size"),
        ({VALID: MAP_HW.astype(np.uint8)}, "no extra maps"),
        ({replace(NORMALS, name="refined"): MAP_HW}, "no extra maps"),
    ],
)
def test_a_map_that_is_not_what_its_quantity_says_is_refused(
    extra: dict[Quantity, np.ndarray], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        CoarseDepth(MAP_HW, DepthKind.AFFINE_DEPTH, extra=extra)
    with pytest.raises(ValueError, match=said):
        Members(MAP_HW[None], extra=extra)


def test_a_label_has_what_every_label_has_each_once() -> None:
    with pytest.raises(ValueError, match="each once"):
        LabelArrays(dict.fromkeys(ALWAYS[:3], MAP_HW))
    twice = replace(ALWAYS[1], unit="m")
    with pytest.raises(ValueError, match="each once"):
        LabelArrays({**dict.fromkeys(ALWAYS, MAP_HW), twice: MAP_HW})


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../x"},
        {"name": ""},
        {"channels": 0},
        {"colour_map": "a b"},
        {"meaning": "x" * 401},
    ],
    ids=str,
)
def test_a_quantity_that_cannot_be_stored_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"names no|channels|longer"):
        replace(NORMALS, **changes)
