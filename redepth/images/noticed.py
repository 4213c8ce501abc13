"""What a listing met beside the images that it yields: nothing is passed over without a word.

A fault is a place of which images may be missing: a damaged tar, a folder that may not be read. The
rest of the collection is listed, the fault is recorded. A file that does not look like an image is
passed over and counted by kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from redepth.images.picture.formats import Extra, extra_needed, unread_kind
from redepth.printable import one_line
from redepth.redaction import redacted, redacted_text

# Of a photograph that was saved under its web address: x.jpg?w=300, x.jpg_large, x.png!small.
_SUFFIX_AND_MORE = re.compile(r"\.(jpe?g|png|webp|tiff?|heic|avif|gif|bmp)\W?\w", re.IGNORECASE)
# A folder's photographs are often packed in an archive beside it, too: each would be listed twice.
_CONTAINERS = (".tar", ".parquet", ".zip")
_LONGEST_SUFFIX = 10
_MAX_KINDS = 100
_LONGEST_REASON = 500

NO_SUFFIX = "no suffix"
SUFFIX_AND_MORE = "more behind a picture's suffix"
OTHER_KINDS = "other kinds"
LINKED_FOLDERS = "linked folder"
NOT_REGULAR = "no regular file"
REPEATED = "of a name that was listed before"
REPLACED = "replaced by a later file of its name"
REMOVED = "removed while it was listed"


@dataclass(frozen=True, slots=True)
class ListingFault:
    """A place of which images may be missing.

    Attributes:
        place: the uri of a container, a folder or a prefix.
        reason: what is wrong there, in one line.
    """

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Files of one kind that are not listed.

    Attributes:
        kind: a suffix, or what it is in words.
        number: how many.
        example: the first one.
    """

    kind: str
    number: int
    example: str


@dataclass(frozen=True, slots=True)
class Notices:
    """All that a listing noticed; what `Noticed` had gathered at its end.

    Attributes:
        missing_extras: those that listed pictures need, as far as their names tell, and that are
            not installed here, with how many; in no manifest.
    """

    faults: tuple[ListingFault, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    missing_extras: tuple[tuple[Extra, int], ...] = ()

    @property
    def num_passed_over(self) -> int:
        return sum(kind.number for kind in self.passed_over)

    def could_hold(self, uri: str) -> bool:
        """Whether an image could lie in one of the places that could not be listed."""
        return any(_lies_in(uri, fault.place) for fault in self.faults)

    def passed_over_json(self) -> str:
        """Return the kinds that were passed over, as `passed_over_of` reads them."""
        return json.dumps([asdict(kind) for kind in self.passed_over])


@dataclass(slots=True)
class Noticed:
    """Gathers, while a listing goes on, what its reader is to be told."""

    _faults: list[ListingFault] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, str] = field(default_factory=dict)
    _extras: Counter[Extra] = field(default_factory=Counter)

    def listed(self, uri: str) -> None:
        """Look at the name of a picture that is listed."""
        extra = extra_needed(uri.partition("::")[0])
        if extra is not None:
            self._extras[extra] += 1

    def fault(self, place: str, reason: str) -> None:
        """Note a place of which images may be missing."""
        words = one_line(redacted_text(reason), _LONGEST_REASON)
        self._faults.append(ListingFault(one_line(redacted(place)), words))

    def passed_over(self, kind: str, uri: str) -> None:
        """Count a file that is not listed; memory: one example a kind."""
        kind = one_line(kind)
        if kind not in self._numbers and len(self._numbers) >= _MAX_KINDS:
            kind = OTHER_KINDS
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        if kind not in self._examples:
            self._examples[kind] = one_line(redacted(uri))

    def notices(self) -> Notices:
        """Return what was gathered; the kinds with most files first."""
        kinds = sorted(self._numbers, key=lambda kind: (-self._numbers[kind], kind))
        return Notices(
            tuple(self._faults),
            tuple(PassedOver(kind, self._numbers[kind], self._examples[kind]) for kind in kinds),
            tuple(self._extras.items()),
        )


def passed_over_of(text: str) -> tuple[PassedOver, ...]:
    """Read what `Notices.passed_over_json` wrote."""
    return tuple(PassedOver(**kind) for kind in json.loads(text))


def kind_by_name(uri: str) -> str:
    """Say of what kind a file is that does not look like an image, by its name alone."""
    name = uri.partition("::")[0].rpartition("/")[2]
    if _SUFFIX_AND_MORE.search(name):
        return SUFFIX_AND_MORE
    unread = unread_kind(name)
    if unread is not None:
        return unread.name
    suffix = PurePosixPath(name).suffix.lower()
    if not suffix or len(suffix) > _LONGEST_SUFFIX:
        return NO_SUFFIX
    if suffix in _CONTAINERS:
        return f"{suffix}, listed where it is named"
    return suffix if suffix.isprintable() else OTHER_KINDS


def _lies_in(uri: str, place: str) -> bool:
    """Whether an image lies in a container (`...::place`), or below a folder."""
    inside, _, container = uri.partition("::")
    container = container.removeprefix("file://")
    return container == place or inside.startswith(place.rstrip("/") + "/")


def as_lines(notices: Notices, num_named: int) -> Iterator[str]:
    """Yield what to tell a person: the first faults, missing extras, the kinds passed over."""
    yield from fault_lines(notices, num_named)
    for extra, number in notices.missing_extras:
        yield (
            f"needs an extra: {number:,} by their names, and will be rejected without it: "
            f"{extra.command}"
        )
    if notices.passed_over:
        yield f"passed over: {', '.join(map(_kind_words, notices.passed_over))}"


def fault_lines(notices: Notices, num_named: int) -> Iterator[str]:
    """Yield a line for each of the first faults, and one for all the others."""
    for fault in notices.faults[:num_named]:
        yield f"could not be listed: {fault.place}: {fault.reason}"
    more = len(notices.faults) - num_named
    if more > 0:
        yield f"could not be listed: {more:,} places more; the manifest names all"


def _kind_words(kind: PassedOver) -> str:
    return f"{kind.number:,} {kind.kind} ({kind.example.rpartition('/')[2] or kind.example})"
