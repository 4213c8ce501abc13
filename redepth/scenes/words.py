"""Small grammar for captions."""

from __future__ import annotations

from collections.abc import Sequence

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def with_article(words: str) -> str:
    """Return "a coin", "an iron coin"; blanks around are dropped."""
    words = words.strip()
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def with_and(words: Sequence[str]) -> str:
    """Return "x", "x and y", or "x, y and z"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(count: int, noun: str) -> str:
    """Return "no hills", "one hill", "two hills", up to ten."""
    return f"{_NUMBERS[count]} {noun}{'' if count == 1 else 's'}"
