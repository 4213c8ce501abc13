"""What a name says of a file: which pictures are read, by which extra, and which are not.

The one table of suffixes. A listing asks it which names are pictures, and what kind of photograph
it passes over; a rejection asks it what to say. What a file really is decides its content
(`redepth.images.picture.signatures`), when it is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from redepth.errors import ImageRejected

__all__ = [
    "HEIC", "IMAGE_SUFFIXES", "JXL", "PICTURES", "UNREAD", "Extra", "PictureFormat", "UnreadKind",
    "extra_needed", "unread_kind",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional package that reads a format.

    Attributes:
        name: of the extra in pyproject.toml.
        module: what it installs, as it is imported.
    """

    name: str
    module: str

    @property
    def is_installed(self) -> bool:
        return find_spec(self.module) is not None

    @property
    def command(self) -> str:
        """What installs it, for a shell."""
        return f"pip install 'redepth[{self.name}]'"

    def require_for(self, picture: str) -> None:
        """Refuse a picture that this extra reads where it is not installed.

        Raises:
            ImageRejected: names the extra and the command.
        """
        if not self.is_installed:
            raise ImageRejected(
                f"{picture}, which takes the extra {self.name}, not installed here: "
                f"{self.command}, then run again with --retry rejected"
            )


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A kind of picture that is read.

    Attributes:
        name: as a person calls it.
        suffixes: of its names, in lower case.
        extra: what has to be installed besides redepth to read it; None: nothing.
    """

    name: str
    suffixes: tuple[str, ...]
    extra: Extra | None = None


@dataclass(frozen=True, slots=True)
class UnreadKind:
    """A photograph, or something like one, that is not read.

    Attributes:
        name: as a person calls it, in the singular.
        suffixes: of its names, in lower case.
        advice: what to do to have it labelled.
    """

    name: str
    suffixes: tuple[str, ...]
    advice: str

    @property
    def reason(self) -> str:
        """Why such a file is not labelled, and what to do."""
        article = "an" if self.name[0] in "AEIOU" else "a"
        return f"{article} {self.name}, which is not read: {self.advice}"


HEIC = Extra("heic", "pillow_heif")
JXL = Extra("jxl", "pillow_jxl")

PICTURES = (
    PictureFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".jfi", ".mpo", ".insp")),
    PictureFormat("PNG", (".png", ".apng")),
    PictureFormat("WebP", (".webp",)),
    PictureFormat("TIFF", (".tif", ".tiff")),
    PictureFormat("GIF", (".gif",)),
    PictureFormat("BMP", (".bmp", ".dib")),
    PictureFormat("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")),
    PictureFormat("AVIF", (".avif", ".avifs")),
    PictureFormat("Netpbm", (".ppm", ".pgm", ".pbm", ".pnm")),
    PictureFormat("SGI", (".sgi",)),
    PictureFormat("HEIC", (".heic", ".heif", ".hif", ".heics", ".heifs"), HEIC),
    PictureFormat("JPEG XL", (".jxl",), JXL),
)

_DEVELOP = "export it as JPEG or TIFF first"
_EXPORT = "export it as PNG, JPEG or TIFF first"
_FRAMES = "extract its frames first"

UNREAD = (
    UnreadKind("Canon RAW file", (".cr2", ".cr3", ".crw"), _DEVELOP),
    UnreadKind("Nikon RAW file", (".nef", ".nrw"), _DEVELOP),
    UnreadKind("Sony RAW file", (".arw", ".srf", ".sr2"), _DEVELOP),
    UnreadKind("DNG file", (".dng", ".gpr"), _DEVELOP),
    UnreadKind("Fujifilm RAW file", (".raf",), _DEVELOP),
    UnreadKind("Olympus RAW file", (".orf", ".ori"), _DEVELOP),
    UnreadKind("Panasonic RAW file", (".rw2",), _DEVELOP),
    UnreadKind("Leica RAW file", (".rwl",), _DEVELOP),
    UnreadKind("Pentax RAW file", (".pef",), _DEVELOP),
    UnreadKind("Samsung RAW file", (".srw",), _DEVELOP),
    UnreadKind("Sigma RAW file", (".x3f",), _DEVELOP),
    UnreadKind("Hasselblad RAW file", (".3fr", ".fff"), _DEVELOP),
    UnreadKind("Phase One RAW file", (".iiq",), _DEVELOP),
    UnreadKind("Minolta RAW file", (".mrw",), _DEVELOP),
    UnreadKind("RAW file", (".kdc", ".dcr", ".erf", ".mef", ".mos", ".raw"), _DEVELOP),
    UnreadKind("Photoshop document", (".psd", ".psb"), _EXPORT),
    UnreadKind("GIMP document", (".xcf",), _EXPORT),
    UnreadKind("OpenEXR picture", (".exr",), _EXPORT),
    UnreadKind("Radiance HDR picture", (".hdr",), _EXPORT),
    UnreadKind("JPEG XR picture", (".jxr", ".wdp", ".hdp"), _EXPORT),
    UnreadKind("TGA picture", (".tga",), _EXPORT),
    UnreadKind("DDS picture", (".dds",), _EXPORT),
    UnreadKind(
        "video",
        (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".m2ts", ".mpg", ".mpeg",
         ".wmv", ".flv", ".insv"),
        _FRAMES,
    ),
)  # fmt: skip

IMAGE_SUFFIXES = tuple(suffix for picture in PICTURES for suffix in picture.suffixes)
_PICTURE_BY_SUFFIX = {suffix: picture for picture in PICTURES for suffix in picture.suffixes}
_UNREAD_BY_SUFFIX = {suffix: kind for kind in UNREAD for suffix in kind.suffixes}


def extra_needed(name: str) -> Extra | None:
    """Return the extra that a picture of this name needs and that is not installed, else None."""
    picture = _PICTURE_BY_SUFFIX.get(_suffix(name))
    if picture is None or picture.extra is None or picture.extra.is_installed:
        return None
    return picture.extra


def unread_kind(name: str) -> UnreadKind | None:
    """Return what kind of photograph that is not read a name stands for; None: of no such kind."""
    return _UNREAD_BY_SUFFIX.get(_suffix(name))


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() if stem else ""
