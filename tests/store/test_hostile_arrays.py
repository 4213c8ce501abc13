"""Array groups and dataset.json of a stranger: nothing but redepth's own layout is opened."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs.checksum32 import CRC32C

from redepth.errors import IntegrityError
from redepth.store.dataset import begin, read_dataset
from redepth.store.reader import open_labels
from redepth.store.verification import verify_labels
from tests.store.store_samples import CARD, commit_all, images, recipe

REFS = images(3)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    out = tmp_path / "labels"
    begin(str(out), recipe(), [CARD])
    commit_all(str(out), REFS, recipe())
    return out


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def sharding(values: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = values["codecs"][0]["configuration"]
    return configuration


def reshaped(*shape: int) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values["shape"] = values["chunk_grid"]["configuration"]["chunk_shape"] = list(shape)
        sharding(values)["chunk_shape"] = [1, *shape[1:]]

    return change


ARRAYS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a pickle codec": lambda v: sharding(v)["codecs"].append({"name": "numcodecs.pickle"}),
    "another codec": lambda v: v.update(codecs=[{"name": "numcodecs.zfpy"}]),
    "objects": lambda v: v.update(data_type="object"),
    "text": lambda v: v.update(data_type="variable_length_utf8"),
    "another dtype": lambda v: v.update(data_type="int64"),
    "a huge map": reshaped(3, 2**31, 2**31),
    "a large map": reshaped(3, 2**15, 2**15),
    "many maps": reshaped(2**40, 6, 9),
    "no maps": reshaped(0, 6, 9),
    "negative": reshaped(3, -6, -9),
    "other chunks": lambda v: v["chunk_grid"]["configuration"].update(chunk_shape=[3, 6, 8]),
    "images of another size": lambda v: sharding(v).update(chunk_shape=[1, 60000, 60000]),
    "another grid": lambda v: v["chunk_grid"].update(name="irregular"),
    "a group": lambda v: v.update(node_type="group"),
    "the second version": lambda v: v.update(zarr_format=2),
}


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS.keys())
def test_an_array_that_redepth_does_not_write_is_not_opened(
    labels: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    (metadata,) = labels.glob("arrays/*/refined/zarr.json")
    change_json(metadata, change)
    with pytest.raises(IntegrityError, match="was not written by redepth"):
        _ = open_labels(str(labels))[REFS[0].id].refined
    assert verify_labels(str(labels)).num_problems >= 1


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 1_000_000, b"{}", b'{"attributes": {"images": 7}}', b" " * (65 << 20)],
    ids=["empty", "deep", "nothing", "no list", "large"],
)
def test_a_group_that_redepth_does_not_write_is_not_opened(labels: Path, content: bytes) -> None:
    (metadata,) = labels.glob("arrays/*/zarr.json")
    metadata.write_bytes(content)
    with pytest.raises(IntegrityError, match="not written by redepth"):
        _ = open_labels(str(labels))[REFS[0].id].refined
    assert verify_labels(str(labels)).num_problems >= 1


def stated(**changes: object) -> Callable[[dict[str, Any]], object]:
    """Change what a group states of its refined map."""
    return lambda v: v["attributes"]["quantities"][1].update(changes)


STATEMENTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a path": (stated(name="../../coarse"), "names no quantity"),
    "a name twice": (stated(name="coarse"), "stated twice"),
    "objects": (stated(dtype="object"), "dtype"),
    "many channels": (stated(channels=10**9), "channels"),
    "no colours": (stated(colour_map="__import__('os')"), "colour map"),
    "endless words": (stated(meaning="x" * 10**6), "longer than"),
    "no range": (stated(range=[0.0]), "range"),
    "no list": (lambda v: v["attributes"].update(quantities=7), "quantities"),
    "nothing": (lambda v: v["attributes"].pop("quantities"), "quantities"),
    "another dtype": (stated(dtype="uint8"), "its group states uint8"),
    "three channels": (stated(channels=3), r"its group states float32 \(6, 9, 3\)"),
}


@pytest.mark.parametrize(("change", "said"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_what_a_stranger_states_of_a_quantity_is_not_believed(
    labels: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    (metadata,) = labels.glob("arrays/*/zarr.json")
    change_json(metadata, change)
    with pytest.raises(IntegrityError, match=said):
        _ = open_labels(str(labels))[REFS[0].id].refined
    assert verify_labels(str(labels)).num_problems >= 1


def test_a_map_that_a_group_does_not_state_is_not_looked_for(labels: Path) -> None:
    (metadata,) = labels.glob("arrays/*/zarr.json")
    change_json(metadata, lambda v: v["attributes"]["quantities"].pop(1))
    with pytest.raises(LookupError, match="stored with coarse, spread, confidence, and without"):
        _ = open_labels(str(labels))[REFS[0].id].refined
    (problem,) = verify_labels(str(labels)).problems
    assert "it states no refined" in problem


def with_index(content: bytes, change: Callable[[Any], None]) -> bytes:
    index = np.frombuffer(CRC32C(location="end").decode(content[-(3 * 16 + 4) :]), "<u8").copy()
    change(index.reshape(3, 2))
    return content[: -(3 * 16 + 4)] + bytes(CRC32C(location="end").encode(index))


def huge(index_n2: Any) -> None:
    index_n2[2, 1] = 2**62


def far(index_n2: Any) -> None:
    index_n2[0, 0] = 2**63


def none(index_n2: Any) -> None:
    index_n2[1] = 2**64 - 1


def bomb(content: bytes) -> bytes:
    """Let Blosc's header of the first image say that it unpacks to a gigabyte."""
    return content[:4] + struct.pack("<I", 1 << 30) + content[8:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: with_index(c, huge),
        lambda c: with_index(c, far),
        lambda c: with_index(c, none),
        bomb,
    ],
    ids=["a huge length", "a far offset", "no chunk", "a header that lies"],
)
def test_a_chunk_that_says_too_much_is_not_unpacked(
    labels: Path, spoil: Callable[[bytes], bytes]
) -> None:
    (chunks,) = labels.glob("arrays/*/refined/c/0/0/0")
    chunks.write_bytes(spoil(chunks.read_bytes()))
    with pytest.raises(IntegrityError, match="is damaged"):
        _ = [open_labels(str(labels))[ref.id].refined for ref in REFS]


DATASETS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no digest": lambda v: v.update(recipe_digest="../../x"),
    "a name that is none": lambda v: v.update(recipe_name=["x"]),
    "a setting that is none": lambda v: v["recipe"]["storage"].update(dtype="object"),
    "a setting that there is not": lambda v: v["recipe"].update(run="rm"),
    "no models": lambda v: v.update(models=7),
    "a model that is none": lambda v: v.update(models=[{"role": 7}]),
    "software that is none": lambda v: v.update(software={"numpy": {}}),
}


@pytest.mark.parametrize("change", DATASETS.values(), ids=DATASETS.keys())
def test_a_dataset_that_redepth_does_not_write_is_refused(
    labels: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    change_json(labels / "dataset.json", change)
    with pytest.raises(IntegrityError, match="is not readable"):
        read_dataset(str(labels))


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b" " * (5 << 20), b"\xff\xfe"])
def test_a_dataset_that_is_no_json_is_refused(labels: Path, content: bytes) -> None:
    (labels / "dataset.json").write_bytes(content)
    with pytest.raises(IntegrityError):
        read_dataset(str(labels))
