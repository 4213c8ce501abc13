"""A list's rows become images; an id stands for one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import SecretStr

from redepth.errors import ConfigError
from redepth.filesystems import require_package
from redepth.images.lists.readers import read_rows
from redepth.images.lists.rows import Row
from redepth.images.uris import (
    canonical_id,
    canonical_uri,
    is_local,
    mistyped,
    parent_uri,
    protocol_of,
    uri_digest,
)
from redepth.redaction import lost_password, redacted, shown
from redepth.storage_errors import in_words
from redepth.types import ImageRef


def listed_images(list_uri: str) -> Iterator[ImageRef]:
    """Yield a list's images once each.

    Memory: 60 bits of each uri, and of each explicit id.

    Raises:
        ConfigError: a row means nothing, or an explicit id means two images.
    """
    base = parent_uri(_real_path(list_uri) if is_local(list_uri) else list_uri)
    seen_uris: set[int] = set()
    seen_ids: set[int] = set()
    known_protocols: set[str] = set()
    for row in read_rows(list_uri):
        require_well_typed(row.uri, row.where)
        given = canonical_uri(row.uri, base)
        uri = redacted(given)
        if protocol_of(uri) not in known_protocols:
            require_protocol(uri, row.where)
            known_protocols.add(protocol_of(uri))
        if not _is_new(uri, seen_uris):
            continue
        if row.id is not None and not _is_new(row.id, seen_ids):
            raise ConfigError(_id_means_two_rows(list_uri, row, base))
        yield ImageRef(
            row.id or canonical_id(uri),
            uri,
            caption=row.caption,
            focal_px=row.focal_px,
            fov_deg=row.fov_deg,
            opens=None if uri == given or lost_password(uri) else SecretStr(given),
        )


def distinct(
    images: Iterator[ImageRef],
    again: Callable[[], Iterator[ImageRef]],
    could_repeat: Callable[[ImageRef], bool],
) -> Iterator[ImageRef]:
    """Yield images once each.

    Args:
        again: lists them anew, to name the first of two with one id.
        could_repeat: whether another may have an image's id; memory: 60 bits of each.

    Raises:
        ConfigError: an id means two images; names both.
    """
    seen: set[int] = set()
    for position, ref in enumerate(images):
        if not could_repeat(ref) or _is_new(ref.id, seen):
            yield ref
        elif ref.id != canonical_id(ref.uri):  # else it is the same image once more
            first, other = next((i, other) for i, other in enumerate(again()) if other.id == ref.id)
            if other.uri != ref.uri:
                raise ConfigError(_id_means_two(ref, other))
            if first == position:  # two digests of 60 bits were equal
                yield ref


def require_protocol(uri: str, where: str) -> None:
    """Refuse early what could be listed and never read.

    Raises:
        ConfigError: no such protocol, or its package is not installed.
    """
    try:
        require_package(protocol_of(uri))
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{where}: cannot open {shown(uri)}: {in_words(error)}") from error


def require_well_typed(uri: str, where: str) -> None:
    """Refuse a URL that lost or won a slash: it would be a path of this machine.

    Raises:
        ConfigError: says what it should be.
    """
    meant = mistyped(uri)
    if meant is not None:
        raise ConfigError(f"{where}: {shown(uri)} is no URL: write {shown(meant)}")


def _id_means_two(ref: ImageRef, first: ImageRef) -> str:
    return (
        f"the id {ref.id!r} names two images, {shown(first.uri)} and {shown(ref.uri)}: give each "
        "its own id, or leave the ids out"
    )


def _id_means_two_rows(list_uri: str, row: Row, base: str) -> str:
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
