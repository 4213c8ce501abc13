"""Photographs in a zip, listed by `zip://::FILE`: odd members, and damage that is named."""

from __future__ import annotations

import io
import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.archives import members as archives
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.images.noticed import Noticed, Notices
from redepth.types import ImageRef

SETTINGS = Decoding()


def photo(red: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 18), (red, 255 - red, 7)).save(content, "PNG")
    return content.getvalue()


def listed(source: str) -> tuple[list[ImageRef], Notices]:
    archives._zip.cached.cache_clear()
    noticed = Noticed()
    return list(list_images(source, noticed=noticed)), noticed.notices()


def name_of(ref: ImageRef) -> str:
    return ref.uri.partition("::")[0].removeprefix("zip://")


def red(ref: ImageRef) -> int:
    return int(read_image(ref, SETTINGS).rgb_hw3[0, 0, 0])


def test_odd_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore")  # of the name that is written twice
        for number, name in enumerate(
            ["twice.png", "/abs.png", "./b/c.png", "d\\e.png", "f::g.png"]
        ):
            file.writestr(name, photo(number))
        file.writestr("twice.png", photo(9))
        file.writestr("__MACOSX/._twice.png", b"x")
        file.writestr("__MACOSX\\._d.png", b"x")
        file.writestr("folder.png/", b"")
        with file.open("large.png", "w", force_zip64=True) as member:
            member.write(photo(7))
        file.writestr("notes.txt", b"x")
    refs, notices = listed(f"zip://::{path}")
    assert {name_of(ref): red(ref) for ref in refs} == {
        "./b/c.png": 2, "abs.png": 1, "d\\e.png": 3, "f:%3Ag.png": 4, "large.png": 7,
        "twice.png": 9,
    }  # fmt: skip
    assert {kind.kind: kind.number for kind in notices.passed_over} == {
        "AppleDouble": 2, ".txt": 1, "replaced by a later file of its name": 1,
    }  # fmt: skip
    inside, _ = listed(f"zip://b::{path}")
    assert [name_of(ref) for ref in inside] == ["./b/c.png"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("b/a.png", None),
        ("./hop.png", None),
        ("/etc/passwd", "which is not in its zip: none is followed"),
        ("../a.png", "none is followed"),
        ("gone.png", "none is followed"),
        ("link.png", "leads in a circle"),
    ],
)
def test_links(target: str, said: str | None, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("b/a.png", photo(5))
        for name, leads_to in (("hop.png", "b/../b/a.png"), ("link.png", target)):
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(link, leads_to)
    refs, _ = listed(f"zip://::{tmp_path}/a.zip")
    (link_ref,) = (ref for ref in refs if name_of(ref) == "link.png")
    if said is None:
        assert red(link_ref) == 5
        return
    with pytest.raises(ImageRejected, match=said):
        read_image(link_ref, SETTINGS)


def test_a_link_that_could_unpack_to_any_size_is_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as file:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        link.compress_type = zipfile.ZIP_LZMA
        file.writestr(link, "a.png" * 1000)
    ((ref,), _) = listed(f"zip://::{tmp_path}/a.zip")
    with pytest.raises(ImageRejected, match="only members that are stored or deflated"):
        read_image(ref, SETTINGS)


def test_another_photograph_of_the_same_size_has_another_version(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    versions = []
    for content in (b"one", b"two", b"one"):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("a.png", content)
        ((ref,), _) = listed(f"zip://::{path}")
        versions.append((ref.size_bytes, ref.version))
    assert versions[0] == versions[2] != versions[1]


def test_an_encrypted_member_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", photo(1))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    ((ref,), _) = listed(f"zip://::{path}")
    with pytest.raises(ImageRejected, match="it is encrypted: unpack the archive"):
        read_image(ref, SETTINGS)


# --- damage --------------------------------------------------------------------------------------


def packed(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"{number}.png", bytes(100))
    return path.read_bytes()


def account(path: Path, content: bytes) -> int | None:
    """Return of how many of the files it is said what they are; None where the zip is refused."""
    path.write_bytes(content)
    try:
        refs, notices = listed(f"zip://::{path}")
    except ConfigError as error:
        return None if "cannot be read" in str(error) else -1
    for ref in refs:
        with pytest.raises(ImageRejected):  # none of them is a picture
            read_image(ref, SETTINGS)
    return len(refs) + notices.num_passed_over + len(notices.faults)


def test_every_cut_of_a_zip_is_named(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip")
    assert account(tmp_path / "a.zip", whole) == 3
    for length in range(len(whole)):
        assert account(tmp_path / "a.zip", whole[:length]) is None, length


def test_every_byte_of_the_directory_of_a_zip(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip")
    for at in range(whole.index(b"PK\x01\x02"), len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            assert account(tmp_path / "a.zip", bytes(damaged)) in (3, None), (at, bit)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the directory that ends a zip is missing"),
        (b"<html>no zip</html>" * 99, "the directory that ends a zip is missing"),
    ],
)
def test_what_is_said_of_no_zip(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        listed(f"zip://::{tmp_path}/a.zip")
