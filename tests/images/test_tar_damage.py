"""Whatever is damaged in a tar: each of its files is listed, or lies in a part that is named.

Counted for the tars below: every cut position (7,681 and 10,241), every byte of every header
(14 and 15 of 512), and 600 drawn damages.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.archives import members as archives
from redepth.images.archives.tar_walk import Damage, Member, walk_tar
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.images.noticed import Noticed
from redepth.types import ImageRef

BLOCK = 512
LONG = "folder/" + "n" * 110 + ".jpg"
NUM_PHOTOGRAPHS = 7
FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def unpadded(content: bytes) -> bytes:
    """Return a tar with the two blocks that end it, and no more."""
    last = len(content.rstrip(b"\0"))
    return content[: -(-last // BLOCK) * BLOCK + 2 * BLOCK]


def packed(format_name: str, *contents: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=FORMATS[format_name]) as tar:
        for name, content in contents:
            add(tar, name, content)
    return file.getvalue()


@cache
def whole(format_name: str) -> bytes:
    """Return a tar with one of everything: a folder, long names, links, an inner tar, no bytes."""
    file = io.BytesIO()
    inner = unpadded(packed("gnu", ("inner/a.jpg", b"i" * 100), ("inner/b.jpg", b"j" * 100)))
    with tarfile.open(fileobj=file, mode="w", format=FORMATS[format_name]) as tar:
        add(tar, "folder", type=tarfile.DIRTYPE)
        add(tar, "000.jpg", b"a" * 300)
        add(tar, "000.txt", b"b" * 40)
        add(tar, LONG, b"c" * 600)
        add(tar, "inner.tar", inner)
        add(tar, "empty.jpg")
        add(tar, "l\N{LATIN SMALL LETTER A WITH DIAERESIS}.jpg", b"d" * 512)
        add(tar, "linked.jpg", type=tarfile.LNKTYPE, linkname="000.jpg")
        add(tar, "soft.jpg", type=tarfile.SYMTYPE, linkname="000.jpg")
        add(tar, "last.jpg", b"e" * 513)
    return unpadded(file.getvalue())


@cache
def members(content: bytes) -> tuple[Member, ...]:
    found = tuple(walk_tar(io.BytesIO(content)))
    assert all(isinstance(entry, Member) for entry in found), "this tar is whole"
    return tuple(entry for entry in found if isinstance(entry, Member))


def headers(content: bytes) -> Iterator[int]:
    """Yield where headers begin, those of long names and records too."""
    for member in members(content):
        yield from {member.first_byte, member.data_byte - BLOCK}


def unaccounted(content: bytes, damaged: bytes) -> list[str]:
    """Return what went wrong: files that are neither listed nor in a damage, and false ones."""
    entries = list(walk_tar(io.BytesIO(damaged)))
    damages = [entry for entry in entries if isinstance(entry, Damage)]
    listed = {entry.data_byte: entry for entry in entries if isinstance(entry, Member)}
    wrong = [
        f"lost {member}"
        for member in members(content)
        if member.data_byte not in listed and not covers(damages, member)
    ]
    true_places = {member.data_byte for member in members(content)}
    return wrong + [f"false {listed[place]}" for place in listed.keys() - true_places]


def covers(damages: Iterable[Damage], member: Member) -> bool:
    return any(
        damage.first_byte <= member.first_byte
        and (damage.end_byte is None or member.first_byte < damage.end_byte)
        for damage in damages
    )


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_whole_tar_is_read_as_tarfile_reads_it(format_name: str) -> None:
    content = whole(format_name)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        expected = [(info.name, info.offset_data, info.size) for info in tar]
    found = [(member.name, member.data_byte, member.size_bytes) for member in members(content)]
    assert found == expected
    assert len(set(headers(content))) == {"gnu": 11, "pax": 12}[format_name]


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_byte_of_every_header(format_name: str) -> None:
    content = whole(format_name)
    wrong = []
    for header in headers(content):
        for at in range(header, header + BLOCK):
            damaged = bytearray(content)
            damaged[at] ^= 1 << (at % 8)
            wrong += [f"byte {at}: {said}" for said in unaccounted(content, bytes(damaged))]
            changed = set(walk_tar(io.BytesIO(damaged))) - set(members(content))
            wrong += [f"byte {at}: changed {one}" for one in changed if isinstance(one, Member)]
    assert wrong == []


@pytest.mark.parametrize(("format_name", "step"), [("gnu", 1), ("pax", 128)])
def test_every_cut(format_name: str, step: int) -> None:
    content = whole(format_name)
    wrong = []
    for length in {*range(0, len(content) + 1, step), *range(1, len(content) + 1, step)}:
        cut = content[:length]
        wrong += [f"cut at {length}: {said}" for said in unaccounted(content, cut)]
    assert wrong == []


Range = tuple[int, int, bytes]  # first byte, number of bytes, what is written over them
RANGES = st.tuples(
    st.integers(0, 7000) | st.integers(0, 14).map(lambda i: i * BLOCK),
    st.integers(1, 3000) | st.integers(1, 6).map(lambda i: i * BLOCK),
    st.sampled_from([b"\0", b"\xff", b"x", b"0"]),
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.lists(RANGES, min_size=1, max_size=2))
def test_overwritten_parts(format_name: str, ranges: list[Range]) -> None:
    content = whole(format_name)
    damaged = bytearray(content)
    for first, length, fill in ranges:
        end = min(first + length, len(content))
        damaged[first:end] = fill * (end - first)
    lost = {said for said in unaccounted(content, bytes(damaged)) if said.startswith("lost")}
    # A file of one block whose two blocks are zeros looks like the end of a tar before another.
    assert lost <= {f"lost {member}" for member in members(content) if is_like_end(damaged, member)}


def is_like_end(content: bytes | bytearray, member: Member) -> bool:
    first = member.first_byte
    return not any(content[first : first + 2 * BLOCK]) and any(content[first + 2 * BLOCK :])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)), st.integers(0, 7000), st.binary(max_size=40), st.booleans()
)
def test_bytes_too_many_or_too_few(format_name: str, at: int, more: bytes, removes: bool) -> None:
    """As a transfer in text mode leaves them: what lies behind is listed, or said to be missing."""
    content = whole(format_name)
    damaged = content[:at] + (b"" if removes else more) + content[at + len(more) * removes :]
    entries = list(walk_tar(io.BytesIO(damaged)))
    names = {entry.name for entry in entries if isinstance(entry, Member)}
    to_the_end = any(isinstance(entry, Damage) and entry.end_byte is None for entry in entries)
    for member in members(content):
        assert member.name in names or to_the_end


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), st.booleans())
def test_any_bytes(content: bytes, behind_a_header: bool) -> None:
    start = whole("gnu")[: 3 * BLOCK] if behind_a_header else b""
    entries = list(walk_tar(io.BytesIO(start + content)))
    assert entries or (len(content) >= 2 * BLOCK and not any(content))
    bytes_read = [entry.data_byte for entry in entries if isinstance(entry, Member)]
    assert bytes_read == sorted(bytes_read)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(FORMATS)), st.lists(RANGES, min_size=1, max_size=3), st.integers(0, 9000)
)
def test_a_damaged_tar_is_listed_or_refused(
    tmp_path: Path, format_name: str, ranges: list[Range], length: int
) -> None:
    """Each of its photographs is listed, passed over or in a fault, or the tar is refused."""
    content = whole(format_name)
    damaged = bytearray(content)
    for first, size, fill in ranges:
        damaged[first : first + size] = fill * len(damaged[first : first + size])
    path = tmp_path / "a.tar"
    path.write_bytes(damaged[:length])
    archives._tar.cached.cache_clear()
    noticed = Noticed()
    try:
        refs = list(list_images(str(path), noticed=noticed))
    except ConfigError:
        return
    notices = noticed.notices()
    is_end = not any(path.read_bytes()[-2 * BLOCK :])  # zeros and a cut behind them look like one
    assert len(refs) + notices.num_passed_over >= NUM_PHOTOGRAPHS or notices.faults or is_end
    for ref in refs:
        for each in (ref, ImageRef(ref.id, ref.uri)):
            with pytest.raises(ImageRejected):  # none of them is a picture
                read_image(each, Decoding())


# --- the end of a tar ----------------------------------------------------------------------------


A = packed("gnu", ("a.jpg", b"1"), ("b.jpg", b"2" * 600))
B = packed("pax", ("c.jpg", b"3" * 9000))


def told(content: bytes) -> tuple[list[str], list[str]]:
    """Return the names that are listed, and the damages."""
    entries = list(walk_tar(io.BytesIO(content)))
    names = [entry.name for entry in entries if isinstance(entry, Member)]
    return names, [str(entry) for entry in entries if isinstance(entry, Damage)]


@pytest.mark.parametrize("first", [A, unpadded(A)])
@pytest.mark.parametrize("second", [B, unpadded(B)])
def test_tars_behind_each_other_are_read(first: bytes, second: bytes) -> None:
    assert told(first + second + first) == (["a.jpg", "b.jpg", "c.jpg", "a.jpg", "b.jpg"], [])


@pytest.mark.parametrize(
    ("content", "names", "said"),
    [
        (A[:1024], ["a.jpg"], "from byte 1,024 on: it ends without the two empty blocks"),
        (A[:1324], ["a.jpg"], "from byte 1,024 on: it ends within a header"),
        (A[: 6 * BLOCK], ["a.jpg", "b.jpg"], "it ends without the two empty blocks"),
        (A[:1537], ["a.jpg", "b.jpg"], "from byte 1,537 on: it ends within 'b.jpg'"),
        (A + bytes(90_000), ["a.jpg", "b.jpg"], "bytes of zeros, more than end a tar"),
        (A + b"garbage" * 99, ["a.jpg", "b.jpg"], "and bytes behind them that belong to no file"),
        (A[:1024] + bytes(512) + A[1024:], ["a.jpg", "b.jpg"], "512 bytes of zeros between"),
        (A[:1024] + bytes(5120) + A[1024:], ["a.jpg", "b.jpg"], "5,120 bytes of zeros between"),
        (b"", [], "from byte 0 on: it is empty"),
        (b"no tar" * 999, [], "from byte 0 on: no header is here"),
        (b"\x1f\x8b" * 999, [], "it is packed with gzip: unpack it"),
        (b"PK\x03\x04" * 999, [], "it is packed with zip: unpack it"),
    ],
)  # fmt: skip
def test_what_is_said_of_an_end(content: bytes, names: list[str], said: str) -> None:
    found, (damage,) = told(content)
    assert found == names and said in damage


@pytest.mark.parametrize("content", [A, A[: 7 * BLOCK], bytes(10_240), bytes(1024)])
def test_an_end_that_nothing_is_wrong_with(content: bytes) -> None:
    assert told(content)[1] == []


# --- an inner tar --------------------------------------------------------------------------------


INNER = packed("gnu", ("inner/a.jpg", b"i" * 100), ("inner/b.jpg", b"j" * 100))


@pytest.mark.parametrize("name", ["inner.tar", "blob"])
@pytest.mark.parametrize("at", [0, 124, 130, 148])
def test_files_of_an_inner_tar_are_not_taken_for_the_outer_ones(name: str, at: int) -> None:
    content = packed("gnu", ("a.jpg", b"1"), (name, INNER), ("b.jpg", b"2"))
    damaged = bytearray(content)
    damaged[1024 + at] ^= 0x41
    names, (damage,) = told(bytes(damaged))
    assert names == ["a.jpg", "b.jpg"]
    assert damage.startswith("bytes 1,024 to 11,776: a damaged header, of ")


def test_an_empty_file_with_a_damaged_size_hides_none_behind_it() -> None:
    content = bytearray(packed("gnu", ("a.jpg", b""), ("b.jpg", b"2"), ("c.jpg", b"3")))
    content[130] ^= 0x01
    assert told(bytes(content))[0] == ["b.jpg", "c.jpg"]


# --- what may not take long, or fill memory ------------------------------------------------------


def test_a_file_without_end_is_not_searched_for_ever() -> None:
    class Endless(io.RawIOBase):
        """A file of 2 ** 50 bytes, of which reads are counted."""

        at = num_read = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.at = 2**50 + offset if whence == 2 else offset
            return self.at

        def read(self, size: int = -1, /) -> bytes:
            self.num_read += size
            return b"\1" * size

    file = Endless()
    (damage,) = walk_tar(file)
    assert isinstance(damage, Damage) and damage.end_byte is None
    assert damage.reason == "no header is here; no more than 1,073,741,824 bytes are searched"
    assert file.num_read < 2**30 + 2**22
