"""From a file to a label: every outcome, on the mini coarse model with seeded weights."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from redepth.config import Decoding, LabelSettings
from redepth.errors import ConfigError, RefinementFailed
from redepth.images.locator import Photographs
from redepth.labelling.labeller import Labeller, choose_device, label_shard, load_labeller
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.settings import Compute
from redepth.types import ImageRef, Label, LabelRow, Members, Outcome

SETTINGS = LabelSettings.model_validate(
    {
        "coarse": {"preset": "mini", "size_px": 56, "weights": {"seed": 0}},
        "compute": {"device": "cpu"},
    }
)


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load_labeller(SETTINGS)


@pytest.fixture
def photograph(tmp_path: Path) -> ImageRef:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return ImageRef("a-1", str(tmp_path / "a.png"), size_bytes=10, version="v", caption="a wall")


class Scripted(IdentityRefiner):
    """A refiner that returns what it is told to, or raises it."""

    def __init__(self, result: Members | Exception) -> None:
        self.result = result

    def refine(self, scene: RefinementInput) -> Members:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_identity_keeps_the_coarse_map_and_has_no_confidence(
    labeller: Labeller, photograph: ImageRef
) -> None:
    label = labeller.label(photograph)
    row, arrays = label.row, label.arrays
    assert arrays is not None
    assert row.outcome is Outcome.REFINED
    assert np.array_equal(arrays["refined"], arrays["coarse"])
    assert np.isnan(arrays["confidence"]).all()
    assert (row.mean_confidence, row.mean_spread) == (None, None)
    assert (row.image_height_px, row.image_width_px) == (60, 90)
    height_px, width_px = arrays["coarse"].shape
    assert (row.height_px, row.width_px) == (height_px, width_px)
    assert max(height_px, width_px) <= 56
    assert row.drift == pytest.approx(0.0, abs=1e-6)
    assert row.untrained
    assert row.seconds is not None and row.seconds > 0
    assert (row.size_bytes, row.version, row.file_format) == (10, "v", "PNG")


class Watched(Scripted):
    """A refiner that keeps what it was shown."""

    seen: RefinementInput

    def refine(self, scene: RefinementInput) -> Members:
        self.seen = scene
        return super().refine(scene)


@pytest.mark.parametrize("reduced_scale", [True, False])
def test_a_large_jpeg_is_shown_later_as_the_models_saw_it(
    labeller: Labeller, tmp_path: Path, reduced_scale: bool
) -> None:
    """Turned by its EXIF, at a size that no scale divides; the focal length is that of the file."""
    rough = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif.get_ifd(0x8769)[0xA405] = 6, 35
    picture = Image.fromarray(rough).resize((501, 333), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "a.jpg", quality=92, exif=exif)
    decoding = Decoding(reduced_scale=reduced_scale)
    settings = SETTINGS.model_copy(update={"decoding": decoding})
    refiner = Watched(Members(np.ones((1, 56, 40), dtype=np.float32)))
    watching = replace(labeller, settings=settings, refiner=refiner)
    row = watching.label(ImageRef("a", str(tmp_path / "a.jpg"))).row
    assert (row.image_height_px, row.image_width_px) == (501, 333)
    assert (row.height_px, row.width_px) == (56, 40)
    focal_px = 35 * math.hypot(501, 333) / math.hypot(36, 24)
    assert row.focal_px == pytest.approx(focal_px * 40 / 333)
    shown = Photographs(decoding).open_as_seen(row).rgb_hw3
    assert np.array_equal(shown, refiner.seen.rgb_hw3)
    whole = Photographs(Decoding(reduced_scale=False)).open_as_seen(row).rgb_hw3
    assert np.array_equal(shown, whole) != reduced_scale


def test_missing_and_broken_files_are_rejected_with_the_reason(
    labeller: Labeller, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_bytes(b"")
    refs = [ImageRef("gone", str(tmp_path / "gone.png")), ImageRef("b", str(tmp_path / "b.jpg"))]
    rows = [label.row for label in label_shard(labeller, refs)]
    assert [row.outcome for row in rows] == [Outcome.REJECTED] * 2
    assert "no longer there" in (rows[0].reason or "")
    assert "empty" in (rows[1].reason or "")


def test_collapsed_refinement_falls_back_to_the_coarse_map(
    labeller: Labeller, photograph: ImageRef
) -> None:
    coarse = labeller.label(photograph).arrays
    assert coarse is not None
    upside_down = Members(np.stack([-coarse["coarse"], -coarse["coarse"]]))
    label = replace(labeller, refiner=Scripted(upside_down)).label(photograph)
    assert label.row.outcome is Outcome.FELL_BACK
    assert "depth order lost" in (label.row.reason or "")
    assert label.arrays is not None
    assert np.array_equal(label.arrays["refined"], coarse["coarse"])
    assert np.isnan(label.arrays["spread"]).all()
    assert label.row.rank_correlation == pytest.approx(-1.0)


def test_failed_refinement_is_recorded_with_what_is_known_of_the_file(
    labeller: Labeller, photograph: ImageRef
) -> None:
    failing = replace(labeller, refiner=Scripted(RefinementFailed("no member came through")))
    label = failing.label(photograph)
    assert label.row.outcome is Outcome.FAILED
    assert label.row.reason == "no member came through"
    assert label.row.sha256 is not None
    assert label.arrays is None


def test_stopped_members_are_named_in_the_row(labeller: Labeller, photograph: ImageRef) -> None:
    coarse = labeller.label(photograph).arrays
    assert coarse is not None
    members = Members(coarse["coarse"][None], stopped=("member 1: loss is nan at step 3",))
    row = replace(labeller, refiner=Scripted(members)).label(photograph).row
    assert (row.num_members, row.members_stopped) == (1, "member 1: loss is nan at step 3")


def test_the_row_says_who_refined_it_and_the_gain_that_was_predicted(
    labeller: Labeller, photograph: ImageRef
) -> None:
    coarse = labeller.label(photograph).arrays
    assert coarse is not None
    members = Members(coarse["coarse"][None], predicted_gain=0.04, refined_by="unsharp")
    row = replace(labeller, refiner=Scripted(members)).label(photograph).row
    assert (row.predicted_gain, row.refined_by) == (0.04, "unsharp")
    unknown = replace(members, predicted_gain=math.nan)
    row = replace(labeller, refiner=Scripted(unknown)).label(photograph).row
    assert (row.predicted_gain, row.refined_by) == (None, "unsharp")
    upside_down = replace(members, maps_ehw=-members.maps_ehw)
    row = replace(labeller, refiner=Scripted(upside_down)).label(photograph).row
    assert (row.outcome, row.predicted_gain, row.refined_by) == (Outcome.FELL_BACK, 0.04, "unsharp")


def test_label_does_not_depend_on_what_was_labelled_before(
    labeller: Labeller, photograph: ImageRef, tmp_path: Path
) -> None:
    first = labeller.label(photograph).arrays
    Image.new("RGB", (40, 80), (3, 200, 90)).save(tmp_path / "other.png")
    labeller.label(ImageRef("other", str(tmp_path / "other.png")))
    again = labeller.label(photograph).arrays
    assert first is not None and again is not None
    assert again["coarse"].tobytes() == first["coarse"].tobytes()


def test_asking_for_a_gpu_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="choose device: cpu"):
        choose_device(Compute(device="cuda"))
    assert choose_device(Compute(device="auto")).type == "cpu"


class Counting(IdentityRefiner):
    """Keeps what each scene's draws are seeded with."""

    def __init__(self) -> None:
        self.seed_key: list[str] = []

    def refine(self, scene: RefinementInput) -> Members:
        self.seed_key.append(scene.image_id)
        return super().refine(scene)


@pytest.mark.parametrize(("deduplicate", "num_refined"), [(False, 3), (True, 2)])
def test_files_with_the_same_bytes_are_refined_once_if_the_recipe_says_so(
    labeller: Labeller, photograph: ImageRef, deduplicate: bool, num_refined: int
) -> None:
    settings = SETTINGS.model_copy(update={"deduplicate": deduplicate})
    refiner = Counting()
    own = replace(labeller, settings=settings, refiner=refiner)
    first = own.label(photograph)
    copy = own.label(photograph._replace(id="b-2", version="w"))
    captioned = own.label(photograph._replace(id="c-3", caption="a floor"))
    assert len(refiner.seed_key) == num_refined
    by_id = ["a-1", "b-2", "c-3"]
    assert refiner.seed_key == (by_id if not deduplicate else [first.row.sha256] * 2)
    assert (copy.row.id, copy.row.version, copy.row.sha256) == ("b-2", "w", first.row.sha256)
    assert captioned.row.id == "c-3"
    assert first.arrays is not None and copy.arrays is not None
    assert copy.arrays["refined"].tobytes() == first.arrays["refined"].tobytes()
    assert copy.row.seconds is not None


def committed(label: Label) -> LabelRow:
    """Return the row as the store has it."""
    return replace(label.row, shard="s", array_group="s-0", array_index=3, attempts=2)


@pytest.fixture
def unloaded(labeller: Labeller) -> Labeller:
    """A labeller that fails where it would ask its models."""
    return replace(labeller, refiner=Scripted(AssertionError("a model was asked")))


def test_a_touched_photograph_keeps_its_label_and_no_model_is_asked(
    labeller: Labeller, unloaded: Labeller, photograph: ImageRef, tmp_path: Path
) -> None:
    before = committed(labeller.label(photograph))
    shutil.copy(photograph.uri, tmp_path / "moved.png")
    now = photograph._replace(uri=str(tmp_path / "moved.png"), version="w", offset_bytes=None)
    label = unloaded.label(now, before)
    assert label.is_kept and label.arrays is None
    assert label.row == replace(before, version="w", uri=now.uri), "seconds and attempts too"


def test_other_bytes_of_the_same_size_are_labelled(
    labeller: Labeller, unloaded: Labeller, photograph: ImageRef
) -> None:
    picture = Path(photograph.uri).read_bytes()
    Path(photograph.uri).write_bytes(picture + b"1")
    before = committed(labeller.label(photograph))
    Path(photograph.uri).write_bytes(picture + b"2")
    with pytest.raises(AssertionError, match="a model was asked"):
        unloaded.label(photograph, before)
    label = labeller.label(photograph, before)
    assert not label.is_kept and label.arrays is not None
    assert label.row.sha256 != before.sha256
    assert label.row.array_group is None


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG broken"])
def test_one_that_cannot_be_read_any_more_is_rejected_as_ever(
    labeller: Labeller, photograph: ImageRef, content: bytes | None
) -> None:
    before = committed(labeller.label(photograph))
    Path(photograph.uri).unlink()
    if content is not None:
        Path(photograph.uri).write_bytes(content)
    assert labeller.label(photograph, before).row.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("first", "now", "is_kept"),
    [
        ({}, {}, True),
        ({"caption": None}, {"caption": "a floor"}, True),  # identity reads none
        ({"focal_px": 80.0}, {"focal_px": 80.0}, True),
        ({"focal_px": 80.0}, {"focal_px": 81.0}, False),
        ({"focal_px": 80.0}, {}, False),
        ({}, {"focal_px": 80.0}, False),
        ({"fov_deg": 60.0}, {"fov_deg": 60.0}, True),
        ({"fov_deg": 60.0}, {"fov_deg": 61.0}, False),
        ({"fov_deg": 60.0}, {"focal_px": 45.0 / math.tan(math.radians(30))}, True),
    ],
)
def test_a_list_that_says_something_else_by_now_has_it_labelled(
    labeller: Labeller,
    photograph: ImageRef,
    first: dict[str, Any],
    now: dict[str, Any],
    is_kept: bool,
) -> None:
    before = committed(labeller.label(photograph._replace(**first)))
    assert labeller.label(photograph._replace(**now), before).is_kept == is_kept


@pytest.mark.parametrize(
    ("caption", "is_kept"), [("a wall", True), ("a floor", False), (None, True), ("", True)]
)
def test_a_caption_counts_where_the_method_has_read_one(
    labeller: Labeller, photograph: ImageRef, caption: str | None, is_kept: bool
) -> None:
    before = replace(committed(labeller.label(photograph)), caption="a wall")
    assert labeller.label(photograph._replace(caption=caption), before).is_kept == is_kept


def test_no_more_labels_are_kept_than_fit(labeller: Labeller, tmp_path: Path) -> None:
    own = replace(labeller, settings=SETTINGS.model_copy(update={"deduplicate": True}))
    for i in range(20):
        Image.new("RGB", (20, 20), (i, 7, 9)).save(tmp_path / f"{i}.png")
        own.label(ImageRef(f"{i}", str(tmp_path / f"{i}.png")))
    assert len(own._last) == 16
