"""A photograph is prepared the same wherever that happens, and carries nothing that opens it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from redepth.config import LabelSettings
from redepth.errors import ImageRejected
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.labelling.preparing import Prepared, rejected
from redepth.labelling.stages import StagedLabeller
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, Outcome

SETTINGS = LabelSettings.model_validate(
    {
        "coarse": {"preset": "mini", "size_px": 56, "weights": {"seed": 0}},
        "compute": {"device": "cpu"},
    }
)


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load_labeller(SETTINGS)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> ImageRef:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return ImageRef("a", str(path), caption="a coffee", focal_px=80.0)


def maps(label: Label) -> dict[str, bytes]:
    assert label.arrays is not None
    return {name: values.tobytes() for name, values in label.arrays.items()}


def without_seconds(label: Label) -> object:
    return replace(
        label.row, seconds=None, read_seconds=None, waited_seconds=None, model_seconds=None
    )


def test_what_is_prepared_elsewhere_becomes_the_same_label(
    labeller: Labeller, photograph: ImageRef
) -> None:
    sent = pickle.loads(pickle.dumps(labeller.preparer))  # packed here
    prepared = pickle.loads(pickle.dumps(sent.prepare(photograph)))
    staged = StagedLabeller(labeller, num_decoders=1)
    here = staged.label(photograph, None, Work())
    elsewhere = staged.label_prepared(prepared, Work())
    assert maps(elsewhere) == maps(here)
    assert without_seconds(elsewhere) == without_seconds(here)
    assert elsewhere.row.device == "cpu" and elsewhere.row.untrained
    assert elsewhere.row.read_seconds and elsewhere.row.model_seconds


def test_what_is_rejected_elsewhere_has_the_same_row(labeller: Labeller, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photograph")
    ref = ImageRef("notes", str(tmp_path / "notes.jpg"))
    with pytest.raises(ImageRejected) as caught:
        labeller.preparer.prepare(ref)
    staged = StagedLabeller(labeller, num_decoders=1)
    elsewhere = staged.label_prepared(rejected(ref, caught.value, Work()), Work())
    assert elsewhere.row.outcome is Outcome.REJECTED
    assert without_seconds(elsewhere) == without_seconds(staged.label(ref, None, Work()))


def test_a_label_that_is_kept_comes_through_as_it_was(
    labeller: Labeller, photograph: ImageRef
) -> None:
    before = replace(
        labeller.label(photograph).row, array_group="s-0", array_index=3, device="cuda: NVIDIA H200"
    )
    kept = labeller.preparer.prepare(photograph, before)
    assert isinstance(kept, Label)
    assert StagedLabeller(labeller, 1).label_prepared(kept, Work()).row == before


def test_a_copy_of_a_known_file_is_met_by_the_actor(photograph: ImageRef) -> None:
    labeller = load_labeller(SETTINGS.model_copy(update={"deduplicate": True}))
    staged = StagedLabeller(labeller, num_decoders=1)
    first = staged.label_prepared(labeller.preparer.prepare(photograph), Work())
    copy = photograph._replace(id="b")
    second = staged.label_prepared(labeller.preparer.prepare(copy), Work())
    assert (second.row.id, second.row.model_seconds) == ("b", None)
    assert maps(second) == maps(first)


def test_a_prepared_photograph_holds_nothing_that_opens_it(
    labeller: Labeller, photograph: ImageRef
) -> None:
    """Ray's object store keeps it, and may spill it to a disk."""
    signed = photograph._replace(uri="https://host/a.png", opens=SecretStr(photograph.uri))
    prepared = labeller.preparer.prepare(signed)
    assert isinstance(prepared, Prepared) and prepared.row.uri == "https://host/a.png"
    assert photograph.uri.encode() not in pickle.dumps(prepared)


def test_seconds_of_elsewhere_count_against_the_limit() -> None:
    assert Work(7.0).seconds >= 7.0
