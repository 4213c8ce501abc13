"""What strangers write into lists and file names: recorded, and never the end of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from redepth.config import load_recipe
from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.types import ImageRef

RECIPE = load_recipe("mini-coarse")
DECODING = RECIPE.labels.decoding
SIGNED = "http://127.0.0.1:9/a.jpg?v=1&X-Amz-Date=2026&X-Amz-Signature=CANARY"


def listed(folder: Path, *rows: dict[str, str]) -> list[ImageRef]:
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(list_images(str(path)))


def with_ids(folder: Path, ids: list[str]) -> list[str]:
    refs = listed(folder, *({"uri": f"{i}.jpg", "id": text} for i, text in enumerate(ids)))
    return [ref.id for ref in refs]


def reason(ref: ImageRef) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_image(ref, DECODING)
    return str(caught.value)


def test_an_id_is_one_line_of_letters_and_different_ones_stay_different(tmp_path: Path) -> None:
    odd = ["a\nerror: forged", "a\rerror: forged", "\x1b[2J", "\u202egpj", "\ud800", "\ud801"]
    ids = with_ids(tmp_path, odd)
    assert len(set(ids)) == len(odd)
    assert all(image_id.isprintable() for image_id in ids)
    assert ids[0].startswith("a error: forged-")
    assert with_ids(tmp_path, odd) == ids


def test_a_usual_id_is_left_alone(tmp_path: Path) -> None:
    names = ["shoe_$20_-_$35", "[bold]x[/]", "<img src=x>", "../../etc/passwd", "東京"]
    assert with_ids(tmp_path, names) == names


def test_a_caption_keeps_its_lines_and_loses_orders(tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, {"uri": "a.jpg", "caption": "a \x1b[31mred\nshoe \ud800"})
    assert ref.caption == "a \ufffd[31mred\nshoe \ufffd"


def test_a_name_that_is_not_unicode_is_rejected_and_no_more(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in (b"\xff.jpg", b"\xfe.jpg", b"\x1b[2J\nok.jpg"):
        Image.new("RGB", (64, 64)).save(photos / os.fsdecode(name), format="PNG")
    refs = list(list_images(str(photos)))
    assert len({ref.id for ref in refs}) == 3
    opened, *broken = refs
    assert read_image(opened, DECODING).width_px == 64
    assert opened.uri.endswith("\x1b[2J\nok.jpg"), "the uri still opens the file"
    for ref in broken:
        ref.uri.encode()
        assert "rename the file" in reason(ref)


@pytest.mark.parametrize("uri", ["a\0b.jpg", "a\0b/c.jpg", "\ud800/c.jpg", "~nobody-here/a.jpg"])
def test_an_impossible_path_is_rejected(uri: str, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, {"uri": uri})
    assert "no longer there" in reason(ref)
    assert reason(ref).isprintable()


def test_a_password_in_a_list_is_rejected_under_a_redacted_uri(tmp_path: Path) -> None:
    refs = listed(
        tmp_path,
        {"uri": "http://user:CANARY@host/a.jpg"},
        {"uri": "zip://a.jpg::http://u:CAN/ARY@host/b.zip"},
        {"uri": "http://user:CANARY@host", "id": "mine"},
    )
    assert [ref.uri for ref in refs] == [
        "http://***@host/a.jpg", "zip://a.jpg::http://***@host/b.zip", "http://***@host",
    ]  # fmt: skip
    assert "CANARY" not in repr(refs)
    assert refs[0].id == listed(tmp_path, {"uri": "http://user:other@host/a.jpg"})[0].id
    for ref in refs:
        assert ref.opens is None
        assert "user or a password" in reason(ref)


def test_a_signed_url_is_opened_and_never_stored(tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, {"uri": SIGNED, "caption": "a"})
    assert ref.uri == "http://127.0.0.1:9/a.jpg?v=1&***"
    assert ref.opens is not None
    assert ref.opens.get_secret_value() == SIGNED
    assert "CANARY" not in repr(ref)
    anew = SIGNED.replace("CANARY", "other").replace("Date=2026", "Date=2027")
    assert listed(tmp_path, {"uri": anew})[0].id == ref.id


def test_a_manifest_has_no_signature_and_the_plan_brings_it_back(tmp_path: Path) -> None:
    refs = listed(tmp_path, {"uri": SIGNED}, {"uri": "b.jpg"})
    plan = plan_labels(refs, str(tmp_path / "out"), RECIPE)
    assert plan.manifest is not None
    assert "CANARY" not in repr(plan)
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"CANARY" not in path.read_bytes()
    (shard,) = read_shard_plans(plan.manifest, 0, 1)
    signed, other = map(plan.signed.restored, shard.images)
    assert signed.opens is not None
    assert signed.opens.get_secret_value() == SIGNED
    assert other.opens is None


@pytest.mark.parametrize("url", [SIGNED, "https://u:CANARY@host/list.csv"])
def test_a_source_with_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\*\*\*") as caught:
        next(list_images(url))
    assert "CANARY" not in str(caught.value)


def test_a_storage_that_fails_does_not_say_the_signature(tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, {"uri": SIGNED})
    with pytest.raises(TransientError, match="127") as caught:
        read_image(ref, DECODING)
    assert "CANARY" not in str(caught.value)
