"""One image on its way into an export, and its name there."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from redepth.errors import IntegrityError
from redepth.quantities import AnyMap, Quantity
from redepth.types import LabelRow

_MAX_NAME_CHARS = 200  # a disk takes 255, with the suffix and what a temporary file's name adds
_KEPT_CHARS = 160
_NAME = re.compile(r"[A-Za-z0-9_%-]{1,200}")
# Windows takes them for devices, whatever the suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])?")
_OF_STORE = ("shard", "array_group", "array_index")


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One image: its row, its name in the export, the chosen maps, its photograph as PNG or None.

    Attributes:
        name: of its files; see `file_names`.
        maps: by quantity: float32 [H, W], [H, W, C] of one with channels, uint8 of codes.
    """

    row: LabelRow
    name: str
    maps: Mapping[Quantity, AnyMap]
    photograph: bytes | None = None

    def facts(self) -> dict[str, Any]:
        """Return the row as plain values, without what only the store needs."""
        return {name: value for name, value in asdict(self.row).items() if is_fact(name)}


def is_fact(column: str) -> bool:
    """Whether a column of the catalogue says something that not only the store needs."""
    return column not in _OF_STORE


def file_names(ids: Sequence[str]) -> list[str]:
    """Name the files of images, in every format, on every disk: of each id its own.

    What is neither letter, digit, - nor _ becomes %XX; dots go too, since WebDataset ends a key at
    the first. Names that no disk would take, that Windows reserves, or that differ from another
    one's by capitals alone end in "%-", which no other has, and a digest of the id.
    """
    names = [_escaped(image_id) for image_id in ids]
    num_alike = Counter(name.lower() for name in names)
    return [
        _digested(image_id, name) if num_alike[name.lower()] > 1 or _needs_digest(name) else name
        for image_id, name in zip(ids, names, strict=True)
    ]


def names_by_id(ids: Sequence[str], uris: Sequence[str]) -> list[str]:
    """Name the files of images by their ids alone."""
    return file_names(ids)


def tree_names(ids: Sequence[str], uris: Sequence[str]) -> list[str]:
    """Name the files of images as their photographs lie: folders below what all have in common.

    Every part is escaped as in `file_names`. Photographs of one folder whose names differ by suffix
    or capitals alone end in a digest of their ids.
    """
    paths = [[_escaped(part) for part in _parts(uri)] for uri in uris]
    depth = _num_common([path[:-1] for path in paths])
    names = ["/".join(path[depth:]) for path in paths]
    num_alike = Counter(name.lower() for name in names)
    return [
        f"{_folder(name)}{_digested(image_id, name.rpartition('/')[2])}"
        if num_alike[name.lower()] > 1 or any(map(_needs_digest, name.split("/")))
        else name
        for image_id, name in zip(ids, names, strict=True)
    ]


def _parts(uri: str) -> list[str]:
    """Return the folders and the name, without scheme and suffix."""
    *folders, name = [part for part in uri.partition("://")[2].split("/") if part] or [
        part for part in uri.split("/") if part
    ]
    stem = name.rpartition(".")[0] or name
    return [*folders, stem]


def _num_common(folders: Sequence[Sequence[str]]) -> int:
    """Count the folders that all paths begin with."""
    levels = zip(*folders, strict=False)
    return next(
        (depth for depth, level in enumerate(levels) if len(set(level)) > 1),
        min(map(len, folders), default=0),
    )


def _folder(name: str) -> str:
    """Return the folders of a name, with what no disk takes cut and told apart."""
    folders = name.split("/")[:-1]
    return "".join(f"{_digested(part, part) if _needs_digest(part) else part}/" for part in folders)


def require_file_name(name: str) -> str:
    """Return a name out of an export's catalogue. Raises IntegrityError: it is none of ours."""
    if not _NAME.fullmatch(name):
        raise IntegrityError(
            f"{name[:200]!r} is no name that redepth gives a file; this export was not written by "
            "redepth, do not use it"
        )
    return name


def _escaped(image_id: str) -> str:
    return quote(image_id, safe="").replace(".", "%2E").replace("~", "%7E")


def _needs_digest(name: str) -> bool:
    return len(name) > _MAX_NAME_CHARS or _RESERVED.fullmatch(name.lower()) is not None


def _digested(image_id: str, name: str) -> str:
    return f"{name[:_KEPT_CHARS]}%-{hashlib.sha256(image_id.encode()).hexdigest()[:32]}"
