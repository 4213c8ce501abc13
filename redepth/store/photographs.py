"""Whether the photographs of an output still are those that were labelled, by their bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images.locator import Photographs
from redepth.store.catalogue import count_outcomes, read_fragments
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from redepth.types import LabelRow

MAX_NAMED = 20
_READ_AT_ONCE = 8
_NOT_FROM_HERE = "cannot be read from here"


@dataclass(frozen=True, slots=True)
class PhotographCheck:
    """What comparing the photographs of an output's labels came to.

    Attributes:
        num_same: photographs with the bytes that were labelled.
        others: how many are not, by what is wrong: changed, not there any more, not allowed, ...
        named: what is wrong with the first `MAX_NAMED` of them, in words.
    """

    num_same: int
    others: Mapping[str, int]
    named: Sequence[str]

    @property
    def num_others(self) -> int:
        return sum(self.others.values())


def check_photographs(
    out: str, allow: Sequence[str] = (), on_photograph: Callable[[], None] = lambda: None
) -> PhotographCheck:
    """Read the photograph of every label and compare its sha256 with the row's; decode nothing.

    Photographs of rejected and failed images have no label to be of, and are not read.

    Args:
        allow: roots of photographs, as `Labels.photographs` takes them.
        on_photograph: called after each.

    Raises:
        ConfigError: there are no labels at `out`, or a root that is none.
    """
    photographs = open_labels(out).photographs(allow)
    num_same, others = 0, Counter[str]()
    named: list[str] = []
    with ThreadPoolExecutor(_READ_AT_ONCE, "compare") as pool:
        for fragment in read_fragments(open_objects(out), None):
            rows = [row for row in fragment.rows() if row.outcome.has_label]
            for problem in pool.map(lambda row: _problem(row, photographs), rows):
                on_photograph()
                if problem is None:
                    num_same += 1
                    continue
                summary, words = problem
                others[summary] += 1
                if len(named) < MAX_NAMED:
                    named.append(words)
    return PhotographCheck(num_same, others, tuple(named))


def count_photographs(out: str) -> int:
    """Count the labels of an output: what `on_photograph` is going to be called for."""
    return sum(number for outcome, number in count_outcomes(out).items() if outcome.has_label)


def _problem(row: LabelRow, photographs: Photographs) -> tuple[str, str] | None:
    """Say what is wrong with a row's photograph, for a count and in full; None if nothing is."""
    try:
        photographs.read(row)
    except ImageRejected as error:
        return error.summary, str(error)
    except (TransientError, ConfigError) as error:  # one storage of several
        return _NOT_FROM_HERE, str(error)
    return None
