"""What a tar's members mean: links, sparse files, odd names, captions, and what is not listed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import ANYTHING
from redepth.images.archives import tar_images as containers
from redepth.images.collection import list_images
from redepth.images.decode import read_bytes, read_image
from redepth.images.noticed import Noticed, Notices
from redepth.types import ImageRef

SETTINGS = Decoding()
Add = Callable[..., None]


def photo(red: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 18), (red, 255 - red, 7)).save(content, "PNG")
    return content.getvalue()


class Tar:
    """A tar that is written member by member."""

    def __init__(self, path: Path, format_: int = tarfile.GNU_FORMAT) -> None:
        self.path = path
        self.tar = tarfile.TarFile(path, "w", format=format_)

    def add(self, name: str, content: bytes = b"", **fields: object) -> Tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in fields.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(content))
        return self

    def link(self, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Tar:
        return self.add(name, type=kind, linkname=target)

    def listed(self) -> tuple[list[ImageRef], Notices]:
        self.tar.close()
        noticed = Noticed()
        return list(list_images(str(self.path), noticed=noticed)), noticed.notices()


@pytest.fixture
def tar(tmp_path: Path) -> Tar:
    return Tar(tmp_path / "a.tar")


def name_of(ref: ImageRef) -> str:
    return ref.uri.partition("::")[0].removeprefix("tar://")


def red(ref: ImageRef) -> int:
    return int(read_image(ref, SETTINGS).rgb_hw3[0, 0, 0])


def by_uri_alone(ref: ImageRef) -> ImageRef:
    return ImageRef(ref.id, ref.uri)


def reasons(ref: ImageRef) -> set[str]:
    """Return why an image is rejected: as it was listed, and by its uri alone."""
    said = set()
    for one in (ref, by_uri_alone(ref)):
        with pytest.raises(ImageRejected) as caught:
            read_image(one, SETTINGS)
        said.add(str(caught.value))
    return said


# --- links ---------------------------------------------------------------------------------------


def test_links_within_a_tar_are_the_files_that_they_lead_to(tar: Tar) -> None:
    tar.add("a/real.png", photo(1)).add("blobs/0f3a", photo(2))
    tar.link("hard.png", "a/real.png", tarfile.LNKTYPE)
    tar.link("b/soft.png", "../a/real.png").link("b/again.png", "./soft.png")
    tar.link("b/blob.png", "../blobs/0f3a").link("early.png", "late.png")
    tar.add("late.png", photo(3))
    refs, notices = tar.listed()
    assert {name_of(ref): red(ref) for ref in refs} == {
        "a/real.png": 1, "hard.png": 1, "b/soft.png": 1, "b/again.png": 1, "b/blob.png": 2,
        "early.png": 3, "late.png": 3,
    }  # fmt: skip
    assert len({ref.id for ref in refs}) == 7
    assert all(red(by_uri_alone(ref)) == red(ref) for ref in refs)
    assert notices.faults == ()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{secret}", "out of its tar: such links are never followed"),
        ("../secret.png", "out of its tar: such links are never followed"),
        ("a/../../secret.png", "out of its tar: such links are never followed"),
        ("gone.png", "a link to 'gone.png', which is not in its tar"),
        ("x.png", "leads in a circle"),
        ("folder", "is no file in its tar"),
    ],
)
def test_other_links_are_listed_and_rejected(
    target: str, said: str, tar: Tar, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(photo(9))
    tar.add("folder", type=tarfile.DIRTYPE)
    tar.link("x.png", target.format(secret=tmp_path / "secret.png"))
    (ref,), _ = tar.listed()
    assert all(said in reason for reason in reasons(ref))


@pytest.mark.parametrize("target", ["gone.png", "/etc/passwd", "../a.png"])
def test_a_hard_link_leads_to_its_tar_alone(target: str, tar: Tar) -> None:
    tar.link("x.png", target, tarfile.LNKTYPE)
    (ref,), _ = tar.listed()
    assert all("which is not in its tar" in reason for reason in reasons(ref))


# --- sparse files, devices, folders --------------------------------------------------------------


def test_a_sparse_file_is_listed_and_rejected(tar: Tar, tmp_path: Path) -> None:
    tar.add("gnu.png", b"x" * 600, type=tarfile.GNUTYPE_SPARSE).add("a.png", photo(1))
    (sparse, plain), _ = tar.listed()
    assert sparse.offset_bytes is None and red(plain) == 1
    assert all("pack the tar again without --sparse" in reason for reason in reasons(sparse))
    pax = Tar(tmp_path / "pax.tar", tarfile.PAX_FORMAT)
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "b.png"}
    pax.add("GNUSparseFile.0/b.png", b"1\n0\n5\n", pax_headers=records).add("c.png", photo(2))
    (sparse, plain), _ = pax.listed()
    assert (name_of(sparse), red(plain)) == ("b.png", 2)
    assert all("is stored as a sparse file" in reason for reason in reasons(sparse))


def test_devices_and_folders_are_no_photographs(tar: Tar) -> None:
    for kind in (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE):
        tar.add(f"{kind.decode()}.png", type=kind)
    tar.add("folder.png", type=tarfile.DIRTYPE).add("a.png", photo(1))
    refs, notices = tar.listed()
    assert [name_of(ref) for ref in refs] == ["a.png"]
    assert [(kind.kind, kind.number) for kind in notices.passed_over] == [("no regular file", 3)]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_odd_names_are_listed_as_they_are_and_read_by_them(format_: int, tmp_path: Path) -> None:
    names = ["./a.png", "/abs/b.png", "../c.png", "d\\e.png", "f::g.png", "h i#%3F?.png",
             "x//j.png", "n" * 150 + ".png",
             "\N{CJK UNIFIED IDEOGRAPH-6771}.png", "tab\t.png"]  # fmt: skip
    tar = Tar(tmp_path / "a.tar", format_)
    for number, name in enumerate(names):
        tar.add(name, photo(number))
    refs, notices = tar.listed()
    expected = [name.replace("f::g", "f:%3Ag") for name in names]
    assert [name_of(ref) for ref in refs] == expected
    assert [red(ref) for ref in refs] == list(range(len(names)))
    assert [red(by_uri_alone(ref)) for ref in refs] == list(range(len(names)))
    assert notices == Notices()


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_are_not_utf_8_are_read_by_their_place(format_: int, tmp_path: Path) -> None:
    tar = Tar(tmp_path / "a.tar", format_)
    tar.add("caf\udce9.png", photo(1)).add("caf\udcea.png", photo(2))
    refs, _ = tar.listed()
    assert [red(ref) for ref in refs] == [1, 2]
    assert len({ref.id for ref in refs}) == 2
    assert all(ref.uri.encode() for ref in refs)


def test_of_one_name_the_last_file_remains_as_unpacking_leaves_it(tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("b.png", photo(2)).add("./a.png", photo(3))
    refs, notices = tar.listed()
    assert [(name_of(ref), red(ref)) for ref in refs] == [("b.png", 2), ("./a.png", 3)]
    (replaced,) = notices.passed_over
    assert (replaced.kind, replaced.number) == ("replaced by a later file of its name", 1)
    assert replaced.example.startswith("tar://a.png::")
    assert red(by_uri_alone(refs[1])) == 3


def test_a_size_in_base_256(tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("b.png", photo(2))
    tar.tar.close()
    content = bytearray(tar.path.read_bytes())
    content[124:136] = b"\x80" + len(photo(1)).to_bytes(11)
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    tar.path.write_bytes(content)
    assert [red(ref) for ref in list_images(str(tar.path))] == [1, 2]


# --- captions ------------------------------------------------------------------------------------


def captions(tar: Tar) -> dict[str, str | None]:
    return {name_of(ref): ref.caption for ref in tar.listed()[0]}


def test_captions_stand_anywhere(tar: Tar) -> None:
    tar.add("b.txt", b"first").add("a.png", photo(1)).add("b.png", photo(2)).add(
        "c/a.png", photo(3)
    )
    tar.add("a.txt", b" second\n").add("c/a.txt", b"third")
    assert captions(tar) == {"a.png": "second", "b.png": "first", "c/a.png": "third"}


def test_layouts_of_img2dataset_and_webdataset(tar: Tar) -> None:
    record = json.dumps({"caption": "from json", "url": "https://x", "width": 3}).encode()
    tar.add("000.jpg", photo(0)).add("000.json", record).add("000.txt", b"from text")
    tar.add("001.jpg", photo(1)).add("001.json", record)
    tar.add("002.left.png", photo(2)).add("002.right.png", photo(3)).add("002.txt", b"both")
    tar.add("003.png", photo(4)).add("003.cls", b"7").add("003.json", b'{"caption": null}')
    tar.add("004.png", photo(5)).add("004.json", b"[" * 9)
    refs, notices = tar.listed()
    assert [ref.caption for ref in refs] == ["from text", "from json", "both", "both", None, None]
    assert [(kind.kind, kind.number) for kind in notices.passed_over] == [(".cls", 1)]


def test_a_name_with_dots_has_its_own_caption(tar: Tar) -> None:
    for day in ("2020.01.01", "2020.01.02", "2020.01.03"):
        tar.add(f"{day}.png", photo(1))
    tar.add("2020.01.02.txt", b"second")
    assert captions(tar) == {
        "2020.01.01.png": None, "2020.01.02.png": "second", "2020.01.03.png": None,
    }  # fmt: skip


def test_of_several_captions_the_one_of_the_sample(tar: Tar) -> None:
    tar.add("0.png", photo(0)).add("0.de.txt", b"zwei").add("0.txt", b"two").add("9.txt", b"none")
    refs, notices = tar.listed()
    assert [ref.caption for ref in refs] == ["two"]
    (texts,) = notices.passed_over
    assert (texts.kind, texts.number) == (".txt", 2), "counted: no photograph has them"


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (b"\xef\xbb\xbfa b", "a b"),
        ("a b".encode("utf-16"), "a b"),
        (b"\xff\xfeb", "\N{REPLACEMENT CHARACTER}"),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"", None),
        (b" \n", None),
    ],
)
def test_the_bytes_of_a_caption(content: bytes, caption: str | None, tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("a.txt", content)
    assert captions(tar) == {"a.png": caption}


def test_a_caption_that_is_a_link(tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("a.txt", b"same").add("b.png", photo(2))
    tar.link("b.txt", "a.txt", tarfile.LNKTYPE)
    assert captions(tar) == {"a.png": "same", "b.png": "same"}


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda tar: tar.add("a.txt", b"x" * 17_000), "caption a.txt has 17,000 bytes"),
        (lambda tar: tar.add("a.txt", b"x", type=tarfile.GNUTYPE_SPARSE), "sparse file"),
        (lambda tar: tar.link("a.txt", "/etc/passwd"), "never followed"),
    ],
)
def test_without_its_caption_a_photograph_is_a_fault(
    write: Callable[[Tar], object], said: str, tar: Tar
) -> None:
    """Its label would be another one."""
    tar.add("a.png", photo(1)).add("b.png", photo(2))
    write(tar)
    refs, notices = tar.listed()
    assert [name_of(ref) for ref in refs] == ["b.png"]
    (fault,) = notices.faults
    assert fault.place == str(tar.path)
    assert fault.reason.startswith("a.png is not listed: its caption") and said in fault.reason


def test_a_large_tar_is_listed_part_by_part(tar: Tar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_MEMBERS_AT_A_TIME", 10)
    for number in range(12):
        tar.add(f"{number:02}.png", photo(number)).add(f"{number:02}.txt", b"%d" % number)
    refs, notices = tar.add("00.png", photo(99)).listed()
    assert [red(ref) for ref in refs] == list(range(12))
    assert [ref.caption for ref in refs] == [str(number) for number in range(12)]
    (repeated,) = notices.passed_over
    assert (repeated.kind, repeated.number) == ("of a name that was listed before", 1)


# --- damage --------------------------------------------------------------------------------------


def damage(path: Path, at: int, content: bytes = b"\xff") -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_what_lies_behind_a_damaged_header_is_listed_and_the_damage_named(tar: Tar) -> None:
    for number in range(20):
        tar.add(f"{number:03}.png", photo(number)).add(f"{number:03}.txt", b"%d" % number)
    refs, _ = tar.listed()
    assert refs[5].offset_bytes is not None
    damage(tar.path, refs[5].offset_bytes - 500)
    noticed = Noticed()
    found = list(list_images(str(tar.path), noticed=noticed))
    assert [red(ref) for ref in found] == [number for number in range(20) if number != 5]
    (fault,) = noticed.notices().faults
    first = refs[5].offset_bytes - 512
    assert fault.place == str(tar.path)
    assert fault.reason.startswith(f"bytes {first:,} to {first + 1024:,}: a damaged header")
    assert noticed.notices().could_hold(refs[5].uri)


def test_a_photograph_that_is_cut_is_listed_and_rejected(tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("b.png", photo(2) + bytes(9000))
    tar.listed()
    with tar.path.open("r+b") as file:
        file.truncate(4000)
    noticed = Noticed()
    first, cut = list_images(str(tar.path), noticed=noticed)
    assert red(first) == 1
    said = reasons(cut)
    assert all("bytes are there; run again once its tar is whole" in reason for reason in said)
    (fault,) = noticed.notices().faults
    assert fault.reason == "from byte 4,000 on: it ends within 'b.png'"


def test_one_damaged_tar_of_several_is_a_fault(tmp_path: Path) -> None:
    for name in ("0", "1", "2"):
        Tar(tmp_path / f"{name}.tar").add(f"{name}.png", photo(int(name))).tar.close()
    damage(tmp_path / "1.tar", 0, b"x" * 600)
    (tmp_path / "3.tar").write_bytes(b"")
    noticed = Noticed()
    refs = list(list_images(f"{tmp_path}/*.tar", noticed=noticed))
    assert [red(ref) for ref in refs] == [0, 2]
    assert [fault.place for fault in noticed.notices().faults] == [
        f"{tmp_path}/1.tar", f"{tmp_path}/3.tar",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="not a readable tar: from byte 0 on"):
        list(list_images(str(tmp_path / "1.tar")))


def test_a_tar_that_is_damaged_everywhere_names_the_first_parts(tar: Tar) -> None:
    for number in range(300):
        tar.add(f"{number:03}.png", b"x")
    refs, _ = tar.listed()
    for ref in refs[::2]:
        damage(tar.path, int(ref.offset_bytes or 0) - 512)
    noticed = Noticed()
    assert len(list(list_images(str(tar.path), noticed=noticed))) == 150
    faults = noticed.notices().faults
    assert len(faults) == 100 and faults[-1].reason.endswith("are not named")


def test_a_name_that_is_not_there_in_a_damaged_tar(tar: Tar) -> None:
    tar.add("a.png", photo(1)).add("b.png", photo(2)).tar.close()
    damage(tar.path, 0)
    with pytest.raises(ImageRejected, match=r"cannot be read \(bytes 0 to 1,024: a damaged header"):
        read_bytes(ImageRef("a", f"tar://a.png::file://{tar.path}"), SETTINGS, ANYTHING)
    assert red(ImageRef("b", f"tar://b.png::file://{tar.path}")) == 2
