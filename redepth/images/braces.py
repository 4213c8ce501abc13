"""`{000..010}` and `{a,b}` in a source, as shells and WebDataset write a range of shards."""

from __future__ import annotations

import re
from collections.abc import Iterator

from redepth.errors import ConfigError

MAX_NAMES = 1_000_000
_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
_GROUP = re.compile(r"\{(\d{1,18}\.\.\d{1,18}|[^{}]*,[^{}]*)\}")


def has_braces(text: str) -> bool:
    """Whether the text stands for several; any other brace is a letter of a name."""
    return _GROUP.search(text) is not None


def expanded(text: str) -> Iterator[str]:
    """Yield what a text with braces stands for, in its order, the last group changing first.

    A range counts up or down; a number with zeros in front gives all of them its width.

    Raises:
        ConfigError: these are more than a million names.
    """
    groups = _GROUP.findall(text)
    number = 1
    for group in groups:
        number *= _length(group)
    if number > MAX_NAMES:
        raise ConfigError(
            f"{text}: its braces stand for {number:,} names, expected {MAX_NAMES:,} at most; name "
            "them by a glob (*)"
        )
    yield from _expanded(text)


def _expanded(text: str) -> Iterator[str]:
    found = _GROUP.search(text)
    if found is None:
        yield text
        return
    for choice in _choices(found[1]):
        for rest in _expanded(text[found.end() :]):
            yield f"{text[: found.start()]}{choice}{rest}"


def _length(group: str) -> int:
    bounds = _bounds(group)
    return group.count(",") + 1 if bounds is None else abs(bounds[1] - bounds[0]) + 1


def _choices(group: str) -> Iterator[str]:
    bounds = _bounds(group)
    if bounds is None:
        yield from group.split(",")
        return
    first, last = bounds
    texts = group.split("..")
    width = max(map(len, texts)) if any(text != str(int(text)) for text in texts) else 0
    step = 1 if last >= first else -1
    yield from (f"{number:0{width}}" for number in range(first, last + step, step))


def _bounds(group: str) -> tuple[int, int] | None:
    found = _RANGE.fullmatch(f"{{{group}}}")
    return None if found is None else (int(found[1]), int(found[2]))
