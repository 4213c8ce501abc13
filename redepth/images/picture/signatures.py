"""What a file is by its first bytes: of which kind that is read, or that is not.

A name decides nothing: phones upload HEIC as `.jpg`, cameras' RAW files are TIFFs by their first
bytes and hold a small preview that must not be taken for the photograph.
"""

from __future__ import annotations

import struct

from redepth.images.picture.formats import UNREAD, UnreadKind

JPEG, PNG, RIFF, JPEG_2000 = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\x4f\xff\x51"
JPEG_2000_BOX = b"\x00\x00\x00\x0cjP  "
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# What lies under image names in real collections, by its first bytes in lower case.
_LOOKS_LIKE = (
    (b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull`)"),
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<?xml", "XML or SVG"),
    (b"<svg", "SVG"),
    (b"%pdf", "PDF"),
    (b"%!ps", "PostScript"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"{", "JSON"),
)
_BEGINS_LIKE = (
    (PNG[:4], "PNG"), (JPEG, "JPEG"), (b"GIF8", "GIF"), *((start, "TIFF") for start in _TIFF),
    (RIFF, "WebP"), (b"BM", "BMP"), (JPEG_2000, "JPEG 2000"), (JPEG_2000_BOX, "JPEG 2000"),
)  # fmt: skip

# Kinds of `formats.UNREAD` by what their files begin with: offset, bytes, a suffix of the kind.
_UNREAD_MAGIC = (
    (0, b"II*\x00\x10\x00\x00\x00CR", ".cr2"),
    (0, b"II\x1a\x00\x00\x00HEAPCCDR", ".crw"),
    (4, b"ftypcrx ", ".cr3"),
    (0, b"FUJIFILMCCD-RAW", ".raf"),
    (0, b"IIRO", ".orf"),
    (0, b"IIRS", ".orf"),
    (0, b"MMOR", ".orf"),
    (0, b"IIU\x00", ".rw2"),
    (0, b"FOVb", ".x3f"),
    (0, b"\x00MRM", ".mrw"),
    (0, b"8BPS", ".psd"),
    (0, b"gimp xcf", ".xcf"),
    (0, b"v/1\x01", ".exr"),
    (0, b"#?RADIANCE", ".hdr"),
    (0, b"#?RGBE", ".hdr"),
    (0, b"II\xbc\x01", ".jxr"),
    (0, b"DDS ", ".dds"),
    (0, b"\x1aE\xdf\xa3", ".mkv"),
    (8, b"AVI ", ".avi"),
    (0, b"\x00\x00\x01\xba", ".mpg"),
    (0, b"\x00\x00\x01\xb3", ".mpg"),
    (0, b"FLV\x01", ".flv"),
    (0, b"0&\xb2u\x8ef\xcf\x11", ".wmv"),
    (4, b"moov", ".mov"),
    (4, b"mdat", ".mov"),
)
_HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif")
)
_SHARED_BRANDS = frozenset((b"mif1", b"mif2", b"msf1", b"miaf"))  # of HEIC and AVIF alike
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_MOST_BRANDS = 64


def is_heic(data: bytes) -> bool:
    """Whether it is a HEIF file with pictures in HEVC, by the brands that it names."""
    major, compatible = _brands(data)
    if major in _SHARED_BRANDS:
        return not compatible & _AVIF_BRANDS
    return major in _HEIC_BRANDS


def is_avif(data: bytes) -> bool:
    """Whether it is a HEIF file with pictures in AV1, by the brands that it names."""
    major, compatible = _brands(data)
    is_shared = major in _SHARED_BRANDS and bool(compatible & _AVIF_BRANDS)
    return major in _AVIF_BRANDS or is_shared


def is_jxl(data: bytes) -> bool:
    """Whether it is a JPEG XL codestream, bare or in boxes."""
    return data.startswith(_JXL)


def is_tiff(data: bytes) -> bool:
    """Whether it begins like a TIFF of any order and size."""
    return data.startswith(_TIFF)


def is_jpeg2000(data: bytes) -> bool:
    """Whether it is a JPEG 2000 codestream, bare or in boxes."""
    return data.startswith((JPEG_2000, JPEG_2000_BOX))


def is_webp(data: bytes) -> bool:
    """Whether it is a RIFF file of WebP."""
    return data.startswith(RIFF) and data[8:12] == b"WEBP"


def kind_of_suffix(suffix: str) -> UnreadKind:
    """Return the kind of unread file that has this suffix; raises StopIteration for no kind's."""
    return next(kind for kind in UNREAD if suffix in kind.suffixes)


def unread_by_content(data: bytes) -> UnreadKind | None:
    """Return what kind of file that is not read its first bytes are of; None: of no such kind.

    RAW files that begin like any TIFF are told by their tags (`redepth.images.picture.tiff`).
    """
    for offset, magic, suffix in _UNREAD_MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return kind_of_suffix(suffix)
    major, _ = _brands(data)
    known = _HEIC_BRANDS | _SHARED_BRANDS | _AVIF_BRANDS
    return kind_of_suffix(".mp4") if major and major not in known else None


def what_it_looks_like(data: bytes) -> str:
    """Return, in words, why a file that no decoder takes is no picture."""
    head = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for beginning, name in _LOOKS_LIKE:
        if head.startswith(beginning):
            return f"not an image: looks like {name}"
    if _brands(data)[0] in _AVIF_BRANDS | _SHARED_BRANDS:
        return "damaged: begins like AVIF, but cannot be opened; is it cut short?"
    for signature, name in _BEGINS_LIKE:
        if data.startswith(signature):
            return f"damaged: begins like {name}, but its header cannot be read"
    jpeg_at = data[:512].find(JPEG)
    if jpeg_at > 0:
        return (
            f"not an image: a JPEG begins only at byte {jpeg_at}; if it is one, cut off what "
            "stands in front of it"
        )
    return f"not an image, or of an unsupported kind: begins with {data[:8]!r}"


def _brands(data: bytes) -> tuple[bytes, frozenset[bytes]]:
    """Return the major and the compatible brands of an ISO media file; empty of another file."""
    if data[4:8] != b"ftyp" or len(data) < 12:
        return b"", frozenset()
    end = min(struct.unpack(">I", data[:4])[0], 16 + 4 * _MOST_BRANDS)
    return data[8:12], frozenset(data[start : start + 4] for start in range(16, end, 4))
