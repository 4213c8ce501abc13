"""What a person points at (folder, glob, prefix, list, one file) becomes a stream of ImageRef.

Nothing is read but names: what a file really is gets decided when it is decoded. Listings of
folders, prefixes and globs keep the names that look like images; a list keeps everything it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import fsspec
from fsspec.utils import glob_translate
from pydantic import SecretStr

from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images.containers import (
    PARQUET,
    TAR,
    holds_images,
    is_tar,
    parquet_images,
    tar_images,
)
from redepth.images.formats import IMAGE_SUFFIXES
from redepth.images.hidden import names_hidden
from redepth.images.list_files import Row, is_list, read_rows
from redepth.images.noticed import Noticed, Notices, as_lines
from redepth.images.ref_texts import as_text
from redepth.images.uris import (
    canonical_id,
    canonical_uri,
    has_wildcards,
    image_id,
    is_local,
    parent_uri,
    protocol_of,
    real_folder,
    uri_digest,
)
from redepth.images.walk import Found, Wanted, find_one, stat_file, walk
from redepth.redaction import lost_password, redacted, refuse_secrets, shown
from redepth.storage_errors import in_words, storage_errors
from redepth.types import ImageRef

__all__ = ["IMAGE_SUFFIXES", "canonical_uri", "could_list", "image_id", "list_images"]

CONTAINERS = (TAR, PARQUET)
_MAX_FAULTS_TOLD = 5


def list_images(
    source: str, limit: int | None = None, noticed: Noticed | None = None
) -> Iterator[ImageRef]:
    """Yield the images of a collection, in a fixed order, without holding them.

    One container of several that cannot be read, or a folder in a folder, is noticed as a fault;
    the rest is listed.

    Args:
        source: a local folder; a glob (`**` crosses folders); a prefix (`s3://bucket/photos`, any
            fsspec URL); one image; a list file (.txt .csv .jsonl .parquet, see `list_files`); a
            tar or a Parquet file that holds images, or a glob of them (see `containers`).
        limit: stop after so many, without listing the rest.
        noticed: is told of what is not listed, while the listing goes on.

    Raises (at the first `next`, or where the trouble is met):
        ConfigError: nothing is there, nothing in it looks like an image, access is refused, a list
            cannot be understood, or the source carries a password or a signature.
        TransientError: the storage answered badly.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    if not source.strip():
        raise ConfigError("no source given: name a folder, a glob, a prefix, an image or a list")
    refuse_secrets(source)
    noticed = noticed or Noticed()
    with storage_errors(source, missing_is_wrong=True):
        num_listed = 0
        try:
            for ref in islice(_refs(source, noticed), limit):
                num_listed += 1
                noticed.listed(ref.uri)
                yield as_text(ref)
        except ImageRejected as error:  # of the list or the container itself
            raise ConfigError(f"{shown(source)}: {error}") from error
        if not num_listed:
            raise ConfigError(_nothing_found(source, noticed.notices()))


def could_list(source: str) -> Callable[[str], bool]:
    """Return what tells whether a canonical uri could come from the listing of a source.

    Of what lies in a folder, below a prefix or fits a glob it is known. A list, or an archive, may
    have named anything: there it is always so.
    """
    uri = canonical_uri(source)
    if is_local(uri) and Path(uri).is_dir():
        return _lies_below(real_folder(uri))
    if has_wildcards(uri) and not (is_local(uri) and Path(uri).exists()):
        start, below = _glob_parts(uri)
        matches = re.compile(re.escape(start.rstrip("/")) + _glob_expression(below)).match
        return lambda name: matches(name) is not None
    if _looks_like_image(uri):
        return lambda name: name == uri
    if is_list(uri) or is_local(uri):
        return lambda name: True
    return _lies_below(uri)


def _lies_below(folder: str) -> Callable[[str], bool]:
    start = folder.rstrip("/") + "/"
    return lambda name: name.startswith(start)


def _refs(source: str, noticed: Noticed) -> Iterator[ImageRef]:
    uri = canonical_uri(source)
    _require_protocol(uri, source)
    if is_local(uri):
        return _local_refs(uri, noticed)
    if has_wildcards(uri):
        return _matching_refs(uri, noticed)
    if is_tar(uri) or is_list(uri):
        return _file_refs(find_one(uri), noticed)
    if _looks_like_image(uri):
        return iter([_ref(find_one(uri))])
    return map(_ref, walk(uri, Wanted(_looks_like_image, noticed)))


def _local_refs(path: str, noticed: Noticed) -> Iterator[ImageRef]:
    if Path(path).is_dir():
        return map(_ref, walk(real_folder(path), Wanted(_looks_like_image, noticed)))
    if Path(path).is_file():
        return _file_refs(stat_file(path), noticed)
    if has_wildcards(path):
        return _matching_refs(path, noticed)
    raise FileNotFoundError(path)


def _file_refs(found: Found, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield what one file stands for: the images in it, those it names, or itself."""
    if is_tar(found.uri):
        return tar_images(found.uri, found.version, _looks_like_image, noticed)
    if not is_list(found.uri):
        return iter([_ref(found)])
    if found.uri.lower().endswith(PARQUET) and holds_images(found.uri):
        return parquet_images(found.uri, found.version)
    return _listed_refs(found.uri)


def _matching_refs(pattern: str, noticed: Noticed) -> Iterator[ImageRef]:
    """Walk from the last folder before the first wildcard and keep what matches.

    A pattern that ends in .tar or .parquet is of containers, any other one of images.
    """
    start, below = _glob_parts(pattern)
    matches = re.compile(re.escape(start.rstrip("/")) + _glob_expression(below)).match
    ends = CONTAINERS if is_tar(pattern) or pattern.lower().endswith(CONTAINERS) else IMAGE_SUFFIXES
    wanted = Wanted(
        keeps=lambda uri: uri.lower().endswith(ends),
        noticed=noticed,
        asked=lambda uri: matches(uri) is not None,
        hidden=names_hidden(below),
        max_depth=None if "**" in below else below.count("/") - 1,
    )
    for found in walk(start, wanted):
        yield from _one_of_several(found, noticed)


def _one_of_several(found: Found, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield what a file stands for; trouble with it is noticed, and does not end the listing."""
    try:
        with storage_errors(found.uri, missing_is_wrong=True):
            yield from _file_refs(found, noticed)
    except TransientError:
        raise
    except (ConfigError, ImageRejected) as error:
        noticed.fault(found.uri, str(error).removeprefix(found.uri).lstrip(": "))


def _glob_parts(pattern: str) -> tuple[str, str]:
    """Return the last folder before the first wildcard, as it is walked, and the pattern's rest."""
    start = parent_uri(re.split(r"[*?[]", pattern, maxsplit=1)[0])
    if start.endswith((":", ":/")):
        raise ConfigError(f"{pattern}: the bucket's own name takes no wildcard")
    below = pattern[len(start.rstrip("/")) :]
    return (real_folder(start) if is_local(start) else start), below


def _glob_expression(pattern: str) -> str:
    try:
        return str(glob_translate(pattern))
    except ValueError as error:
        raise ConfigError(f"{pattern}: {in_words(error)}") from error


def _listed_refs(list_uri: str) -> Iterator[ImageRef]:
    """Yield a list's images once each; an explicit id that means two images is an error.

    Memory: 60 bits of each uri, and of each explicit id.
    """
    base = parent_uri(_real_path(list_uri) if is_local(list_uri) else list_uri)
    seen_uris: set[int] = set()
    seen_ids: set[int] = set()
    known_protocols: set[str] = set()
    for row in read_rows(list_uri):
        given = canonical_uri(row.uri, base)
        uri = redacted(given)
        if protocol_of(uri) not in known_protocols:
            _require_protocol(uri, row.where)
            known_protocols.add(protocol_of(uri))
        if not _is_new(uri, seen_uris):
            continue
        if row.id is not None and not _is_new(row.id, seen_ids):
            raise ConfigError(_id_means_two(list_uri, row, base))
        yield ImageRef(
            row.id or canonical_id(uri),
            uri,
            caption=row.caption,
            focal_px=row.focal_px,
            fov_deg=row.fov_deg,
            opens=None if uri == given or lost_password(uri) else SecretStr(given),
        )


def _id_means_two(list_uri: str, row: Row, base: str) -> str:
    """Name both images; the first is looked up again, for their uris are not kept."""
    first = next(other for other in read_rows(list_uri) if other.id == row.id)
    uris = [shown(canonical_uri(uri, base)) for uri in (first.uri, row.uri)]
    return (
        f"{row.where}: the id {row.id!r} names two images, {uris[0]} ({first.where}) and "
        f"{uris[1]}: give each its own id, or leave the column out"
    )


def _is_new(text: str, seen: set[int]) -> bool:
    """Add a text's digest to those seen; 60 bits, for Python keeps such an integer in 32 bytes."""
    key = int.from_bytes(uri_digest(text)[:8]) >> 4
    is_new = key not in seen
    seen.add(key)
    return is_new


def _real_path(path: str) -> str:
    """Resolve a list that is itself a link: its relative uris were written where it lies."""
    return str(Path(path).resolve())


def _ref(found: Found) -> ImageRef:
    return ImageRef(canonical_id(found.uri), found.uri, found.size_bytes, found.version)


def _looks_like_image(uri: str) -> bool:
    name = uri.partition("::")[0] if "://" in uri else uri
    return name.lower().endswith(IMAGE_SUFFIXES)


def _require_protocol(uri: str, where: str) -> None:
    """Refuse early what could be listed and never read."""
    try:
        fsspec.get_filesystem_class(protocol_of(uri))
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{where}: cannot open {shown(uri)}: {in_words(error)}") from error


def _nothing_found(source: str, notices: Notices) -> str:
    told = "".join(f"\n  {line}" for line in as_lines(notices, _MAX_FAULTS_TOLD))
    if is_list(source):
        return f"{source}: the list names no image{told}"
    return (
        f"{source}: no images found (names ending in {' '.join(sorted(IMAGE_SUFFIXES))}, hidden "
        f"and linked folders ignored): check the spelling, or name the files in a list{told}"
    )
