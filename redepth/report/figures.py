"""What the catalogue says in sum: read once, in memory that does not grow with the rows."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from redepth.costing.stages import StageSeconds
from redepth.store import catalogue
from redepth.store.objects import open_objects
from redepth.store.rows import SCHEMA
from redepth.types import Outcome

COLUMNS = (
    "id", "uri", "outcome", "reason", "kind", "drift", "rank_correlation", "mean_confidence",
    "refined_by",
    *catalogue.STAGE_COLUMNS, "device", "shard",
)  # fmt: skip
NUM_EACH = 5
NUM_RANDOM = 10
NUM_TROUBLES = 50
ROWS_AT_ONCE = 16384
# Reasons with their numbers and paths left out are few; this is for those of another world.
MAX_REASONS = 200
OTHER_REASONS = "other reasons"

_CHOSEN_COLUMNS = ("id", "uri", "outcome", "reason", "shard")
_CONFIDENCE_EDGES = np.linspace(0.0, 1.0, 201)
_DRIFT_EDGES = np.linspace(0.0, 1.0, 8193)
_PATH = re.compile(r"\S*/\S+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Group(StrEnum):
    """Why a label was chosen for the gallery; `TROUBLE` has no label and goes into a table."""

    SUREST = "surest"
    CHANGED = "changed"
    UNSURE = "unsure"
    FELL_BACK = "fell_back"
    RANDOM = "random"
    TROUBLE = "trouble"

    @property
    def words(self) -> str:
        """The group as a person reads it."""
        return _GROUP_WORDS[self]


_GROUP_WORDS = {
    Group.SUREST: "highest confidence",
    Group.CHANGED: "largest drift",
    Group.UNSURE: "lowest confidence",
    Group.FELL_BACK: "fell back",
    Group.RANDOM: "drawn at random",
    Group.TROUBLE: "no label",
}
_SORT_KEYS = {
    Group.SUREST: ("mean_confidence", "descending"),
    Group.CHANGED: ("drift", "descending"),
    Group.UNSURE: ("mean_confidence", "ascending"),
    Group.FELL_BACK: ("draw", "ascending"),
    Group.RANDOM: ("draw", "ascending"),
    Group.TROUBLE: ("outcome", "ascending"),  # "failed" before "rejected"
}
_NUMBERS = {Group.RANDOM: NUM_RANDOM, Group.TROUBLE: NUM_TROUBLES}
_OUTCOMES = {
    Group.FELL_BACK: (Outcome.FELL_BACK,),
    Group.RANDOM: (Outcome.REFINED, Outcome.FELL_BACK),
    Group.TROUBLE: (Outcome.FAILED, Outcome.REJECTED),
}


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts over fixed edges; a value outside lies in the first or the last bin.

    Attributes:
        edges: float64 [n + 1], ascending.
        counts: int64 [n].
        total: float, the sum of the values themselves.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    total: float = 0.0

    @property
    def num_values(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return self.total / self.num_values

    def quantile(self, share: float) -> float:
        """Return the value below which that share lies, to within one bin."""
        through = np.cumsum(self.counts)
        wanted = share * through[-1]
        found = int(np.searchsorted(through, wanted))
        if share == 0.0:
            found = int(np.flatnonzero(self.counts)[0])
        missing = wanted - (through[found] - self.counts[found])
        width = self.edges[found + 1] - self.edges[found]
        return float(self.edges[found] + width * missing / self.counts[found])

    def merged(self, other: Histogram) -> Histogram:
        """Return the histogram of both sets of values."""
        return Histogram(self.edges, self.counts + other.counts, self.total + other.total)

    def shown(self, high: float, max_bins: int) -> Histogram:
        """Return the part up to `high` in no more than `max_bins` equal bins, none beyond it."""
        last = max(int(np.searchsorted(self.edges, high)), 1)
        width = -(-last // max_bins)
        stop = min(-(-last // width) * width, len(self.counts))
        starts = np.arange(0, stop, width)
        counts = np.add.reduceat(self.counts[:stop], starts)
        return Histogram(self.edges[[*starts, stop]], counts)


@dataclass(frozen=True, slots=True, eq=False)
class CatalogueFigures:
    """Sums over all rows, and the few rows that are worth a look.

    Attributes:
        outcomes: images by outcome.
        reasons: images by (outcome, reason without its numbers and paths); without refined ones.
        kinds, devices: labels by kind, images by device.
        methods: labels by the method that made them; empty of a recipe with one.
        confidence, drift: histograms of `mean_confidence` and `drift`, over labels that have one.
        stages: seconds of the images that have a label, summed by stage.
        chosen: by group the rows (id, uri, outcome, reason, shard) and what they are ordered by.
    """

    outcomes: Mapping[Outcome, int]
    reasons: Mapping[tuple[Outcome, str], int]
    kinds: Mapping[str, int]
    devices: Mapping[str, int]
    methods: Mapping[str, int]
    confidence: Histogram
    drift: Histogram
    stages: StageSeconds
    chosen: Mapping[Group, pa.Table]

    @property
    def num_images(self) -> int:
        return sum(self.outcomes.values())

    @property
    def num_labels(self) -> int:
        return sum(number for outcome, number in self.outcomes.items() if outcome.has_label)


def read_figures(out: str) -> CatalogueFigures:
    """Sum up every fragment of an output."""
    parts = catalogue.read_fragments(open_objects(out), COLUMNS)
    return sum_up(_in_batches(part.table for part in parts))


def sum_up(tables: Iterable[pa.Table]) -> CatalogueFigures:
    """Sum up tables of `COLUMNS` one by one; holds one of them at a time."""
    nothing = _figures_of(SCHEMA.empty_table().select(list(COLUMNS)))
    return reduce(_merged, map(_figures_of, tables), nothing)


def reason_pattern(reason: str) -> str:
    """Leave out of a reason what differs from image to image: paths and numbers."""
    return _NUMBER.sub("N", _PATH.sub("(file)", reason))[:200]


def histogram_of(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Histogram:
    """Count the finite values."""
    values = values[np.isfinite(values)]
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(edges, counts, float(values.sum()))


def _in_batches(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held, num_rows = [], 0
    for table in tables:
        held.append(table)
        num_rows += len(table)
        if num_rows >= ROWS_AT_ONCE:
            yield pa.concat_tables(held).combine_chunks()
            held, num_rows = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _figures_of(table: pa.Table) -> CatalogueFigures:
    with_label = _of_outcomes(table, (Outcome.REFINED, Outcome.FELL_BACK))
    outcomes = Counter(table["outcome"].to_pylist())
    return CatalogueFigures(
        {outcome: outcomes[outcome.value] for outcome in Outcome},
        _reasons(table),
        Counter(with_label["kind"].drop_null().to_pylist()),
        Counter(table["device"].drop_null().to_pylist()),
        catalogue.methods_of(table),
        histogram_of(table["mean_confidence"].drop_null().to_numpy(), _CONFIDENCE_EDGES),
        histogram_of(table["drift"].drop_null().to_numpy(), _DRIFT_EDGES),
        catalogue.stages_of(table),
        _choices(table),
    )


def _merged(one: CatalogueFigures, other: CatalogueFigures) -> CatalogueFigures:
    return CatalogueFigures(
        {outcome: one.outcomes[outcome] + other.outcomes[outcome] for outcome in Outcome},
        _bounded(Counter(one.reasons) + Counter(other.reasons)),
        Counter(one.kinds) + Counter(other.kinds),
        Counter(one.devices) + Counter(other.devices),
        Counter(one.methods) + Counter(other.methods),
        one.confidence.merged(other.confidence),
        one.drift.merged(other.drift),
        one.stages + other.stages,
        {
            group: _first(pa.concat_tables([one.chosen[group], other.chosen[group]]), group)
            for group in Group
        },
    )


def _reasons(table: pa.Table) -> Counter[tuple[Outcome, str]]:
    told = table.filter(pc.is_valid(table["reason"])).group_by(["outcome", "reason"])
    found: Counter[tuple[Outcome, str]] = Counter()
    for line in told.aggregate([([], "count_all")]).to_pylist():
        found[Outcome(line["outcome"]), reason_pattern(line["reason"])] += line["count_all"]
    return _bounded(found)


def _bounded(reasons: Counter[tuple[Outcome, str]]) -> Counter[tuple[Outcome, str]]:
    """Keep the most frequent reasons; put the others of an outcome into one."""
    if len(reasons) <= MAX_REASONS:
        return reasons
    ranked = reasons.most_common()
    kept = Counter(dict(ranked[: MAX_REASONS - len(Outcome)]))
    for (outcome, _), number in ranked[MAX_REASONS - len(Outcome) :]:
        kept[outcome, OTHER_REASONS] += number
    return kept


def _choices(table: pa.Table) -> dict[Group, pa.Table]:
    # A draw that depends on the id alone: the same labels however the parts are read.
    draws = pa.array([zlib.crc32(text.encode()) for text in table["id"].to_pylist()], pa.int64())
    table = table.append_column("draw", draws)
    return {group: _choice(table, group) for group in Group}


def _choice(table: pa.Table, group: Group) -> pa.Table:
    column, _ = _SORT_KEYS[group]
    rows = _of_outcomes(table, _OUTCOMES.get(group, (Outcome.REFINED,)))
    rows = rows.filter(pc.is_valid(rows[column]))
    return _first(rows.select(list(dict.fromkeys([*_CHOSEN_COLUMNS, column]))), group)


def _first(rows: pa.Table, group: Group) -> pa.Table:
    """Return the first few rows in the group's order, equal ones by id."""
    order = [_SORT_KEYS[group], ("id", "ascending")]
    number = _NUMBERS.get(group, NUM_EACH)
    return rows.take(pc.select_k_unstable(rows, k=number, sort_keys=order))


def _of_outcomes(table: pa.Table, outcomes: Iterable[Outcome]) -> pa.Table:
    names = pa.array([outcome.value for outcome in outcomes])
    return table.filter(pc.is_in(table["outcome"], value_set=names))
