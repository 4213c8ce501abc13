"""Photographs inside tars (WebDataset's shards too), read without unpacking.

Of a tar the headers alone are read, and captions. An image is read later, by whoever labels it:
`tar://NAME::CONTAINER` by the range of bytes that the listing has noted (one request); without
that, see `archives`, which knows the same names.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives import open_tar, tar_members
from redepth.images.opening import open_source
from redepth.images.reading import open_regular
from redepth.images.rows import LONGEST_TEXT, row_of
from redepth.images.uris import image_id, is_local
from redepth.types import ImageRef

TAR = ".tar"
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
# Between two headers lies an image: more would only be read in vain.
_READ_AHEAD_BYTES = 64 * 1024


def is_tar(uri: str) -> bool:
    """Whether the name is that of a tar.

    Raises:
        ConfigError: of a compressed one, of which no part can be read alone.
    """
    name = (uri.partition("::")[0] if "://" in uri else uri).lower()
    if name.endswith(_COMPRESSED):
        raise ConfigError(
            f"{uri}: images inside a compressed tar cannot be read one by one; pack it without "
            "compression (photographs are compressed already)"
        )
    return name.endswith(TAR)


def tar_images(uri: str, version: str | None, keeps: Any) -> Iterator[ImageRef]:
    """Yield the images of a tar, reading its headers; a `.txt` of the same name is the caption.

    Args:
        keeps: tells by a member's name whether it is an image.

    Raises:
        ConfigError: it is no tar, or damaged.
    """
    filesystem, path = open_source(uri)
    try:
        with (
            filesystem.open(path, "rb", block_size=_READ_AHEAD_BYTES) as file,
            open_tar(file) as tar,
        ):
            for _, sample in groupby(tar_members(tar), key=lambda member: _key(member.name)):
                yield from _tar_sample(tar, list(sample), uri, version, keeps)
    except (tarfile.TarError, ValueError, IndexError) as error:  # the last two of PAX records
        raise ConfigError(f"{uri} is not a readable tar: {error}") from error


def _key(name: str) -> str:
    """Return what the files of a sample have in common: the path up to the name's first dot."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.partition(".")[0] or path.name))


def _tar_sample(
    tar: tarfile.TarFile,
    members: list[tarfile.TarInfo],
    uri: str,
    version: str | None,
    keeps: Any,
) -> Iterator[ImageRef]:
    images = [member for member in members if keeps(member.name)]
    texts = [member for member in members if member.name.endswith(".txt")]
    caption = _text(uri, tar, texts[0]) if images and texts else None
    for member in images:
        own = f"tar://{member.name}::{uri if '://' in uri else 'file://' + uri}"
        row = row_of(f"{uri}, {member.name}", {"caption": caption}, own)
        yield ImageRef(
            image_id(own), own, member.size, version, row.caption, offset_bytes=member.offset_data
        )


def _text(uri: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """Return a caption as it is stored; of a sparse member the size does not say what is stored."""
    if member.size > LONGEST_TEXT or member.issparse():
        raise ConfigError(
            f"{uri}: the caption {member.name} has {member.size:,} bytes, expected a text of "
            f"{LONGEST_TEXT:,} at most, not sparse; pack the tar again without it"
        )
    file = tar.extractfile(member)
    return None if file is None else file.read()


def read_range(ref: ImageRef, allowed: Allowed) -> bytes:
    """Read an image whose place in its tar the listing has noted.

    Raises:
        ImageRejected: the tar ends before it does.
    """
    tar = ref.uri.partition("::")[2]
    first, size = ref.offset_bytes or 0, ref.size_bytes or 0
    if is_local(tar):
        with open_regular(allowed.real_path(tar)) as file:
            file.seek(first)
            content = file.read(size)
    else:
        filesystem, path = open_source(tar, allowed.hosts_for(tar))
        content = bytes(filesystem.cat_file(path, start=first, end=first + size)) if size else b""
    if len(content) != size:
        raise ImageRejected(
            f"{ref.uri} is not as it was listed: {len(content):,} of its {size:,} bytes are there; "
            "run again once its tar is whole"
        )
    return content
