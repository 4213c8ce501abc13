"""Reading an output: rows and maps by image id, lazily, trusting only what labels/ names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from redepth.costing.run_speed import RunSpeed
from redepth.errors import ConfigError, IntegrityError
from redepth.images.allowed import allowed_for_labels
from redepth.images.locator import Photographs
from redepth.images.noticed import Notices
from redepth.quantities import QUANTITIES, AnyMap, Quantity
from redepth.store import arrays, catalogue, manifest
from redepth.store.chunks import Chunks
from redepth.store.conditions import rows_where
from redepth.store.dataset import Dataset, read_dataset
from redepth.store.kept import num_kept_lately
from redepth.store.key_index import KeyIndex, keys_of
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import SCHEMA, Fragment, row_from_columns
from redepth.store.run_record import last_speed
from redepth.types import FloatMap, LabelRow, Outcome

_GROUPS_KEPT_OPEN = 64
_ARRAYS_KEPT_OPEN = 256
_CANDIDATES_SHOWN = 8
_LOOKED_AT = 8  # maps, before a quantity is called absent


@dataclass(frozen=True)
class StoredLabel:
    """One image of an output. Its maps are read when they are first asked for, and kept.

    `label["refined"]` is the map of any quantity that is stored, float32 [H, W], [H, W, C] of one
    with channels, uint8 of codes; `quantities` says which there are, with unit and range. What
    every label has is an attribute as well. `row.kind` says what coarse and refined mean. Asking
    for a map of an image that has no label raises LookupError.
    """

    row: LabelRow
    _labels: Labels
    _read: dict[str, AnyMap] = field(default_factory=dict, compare=False, repr=False)

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What is stored of this image, as its array group states it; empty without a label."""
        return self._labels.quantities_of(self.row)

    def __getitem__(self, quantity: str) -> AnyMap:
        """Return a map. Raises LookupError and IntegrityError as `Labels.read`."""
        if quantity not in self._read:
            self._read[quantity] = self._labels.read(self.row, quantity)
        return self._read[quantity]

    @property
    def coarse(self) -> FloatMap:
        return self["coarse"]

    @property
    def refined(self) -> FloatMap:
        return self["refined"]

    @property
    def spread(self) -> FloatMap:
        return self["spread"]

    @property
    def confidence(self) -> FloatMap:
        return self["confidence"]


class Labels(Mapping[str, StoredLabel]):
    """The committed images of an output, by id: what was there when the ids were first needed.

    Can be pickled, and be used in a process that was forked: see `reopened`.

    Attributes:
        dataset: recipe, models and software of the output.
    """

    def __init__(
        self, objects: Objects, dataset: Dataset, selected: pa.Table | None = None
    ) -> None:
        """Read labels below a root; `selected` holds whole rows and narrows them to these."""
        self.dataset = dataset
        self._objects = objects
        self._selected = selected
        self._group = lru_cache(_GROUPS_KEPT_OPEN)(self._open_group)
        self._chunks = lru_cache(_ARRAYS_KEPT_OPEN)(self._open_chunks)
        self._part = lru_cache(_GROUPS_KEPT_OPEN)(self._read_fragment)

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        for ids in self._index["id"].chunks:
            yield from ids.to_pylist()

    def __contains__(self, image_id: object) -> bool:
        return self._position(image_id) is not None

    def __getitem__(self, image_id: str) -> StoredLabel:
        """Return one image. Raises KeyError for an id that is not committed; see `find`."""
        position = self._position(image_id)
        if position is None:
            raise KeyError(f"{image_id} is not among the {len(self)} images of {self._objects.url}")
        if self._selected is not None:
            (values,) = self._selected.slice(position, 1).to_pylist()
            return StoredLabel(row_from_columns(values), self)
        table = self._part(self._index["shard"][position].as_py()).table
        (values,) = table.filter(pc.equal(table["id"], image_id)).to_pylist()
        return StoredLabel(row_from_columns(values), self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.url, self.dataset, self._selected)

    @property
    def url(self) -> str:
        """The output's root."""
        return self._objects.url

    def photographs(self, allow: Sequence[str] = ()) -> Photographs:
        """Return what opens the photographs of these labels' rows.

        Args:
            allow: roots that are read beside local files and the labels' own bucket or host.

        Raises:
            ConfigError: a root that is none.
        """
        return Photographs(self.dataset.recorded.decoding, allowed_for_labels(self.url, allow))

    def reopened(self) -> Labels:
        """Return the same labels behind connections of their own, as a forked process needs."""
        return _reopen(self.url, self.dataset, self._selected)

    def where(self, condition: str) -> Labels:
        """Return the labels whose rows fulfil a condition in SQL.

        The catalogue is read once, here: one request a shard. Every row of the result is then at
        hand, and only maps are read later.

        Args:
            condition: e.g. "mean_confidence > 0.8 and outcome = 'refined'"; the columns are those
                of docs/catalogue.md. A null fulfils no comparison.

        Raises:
            ConfigError: it is no such condition, or DuckDB (`redepth[sql]`) is not installed.
        """
        return Labels(self._objects, self.dataset, rows_where(self._rows(), condition))

    def with_maps(self) -> Labels:
        """Return the labels that have maps: refined ones, and those that fell back."""
        rows = self._rows()
        return Labels(self._objects, self.dataset, rows.filter(rows["array_group"].is_valid()))

    def subset(self, kept: pa.BooleanArray) -> Labels:
        """Return some of the labels: a flag for each, in the order of `table`."""
        return Labels(self._objects, self.dataset, self._rows().filter(kept))

    def rows(self, positions: Sequence[int]) -> list[LabelRow]:
        """Return rows by their positions, in the order in which the labels are iterated over."""
        if self._selected is not None:
            table = self._selected.take(pa.array(positions, pa.int64()))
            return [row_from_columns(values) for values in table.to_pylist()]
        ids = self._index["id"].take(pa.array(positions, pa.int64())).to_pylist()
        return [self[image_id].row for image_id in ids]

    def table(
        self, columns: Sequence[str] | None = None, filter: pads.Expression | None = None
    ) -> pa.Table:
        """Read rows as a table, in columns of `LabelRow`.

        Args:
            columns: names, None for all.
            filter: e.g. `pyarrow.dataset.field("outcome") == "refined"`; it is applied on reading.
        """
        if self._selected is not None:
            rows = pads.dataset(self._selected)
            return rows.to_table(columns=None if columns is None else list(columns), filter=filter)
        wanted = SCHEMA.names if columns is None else list(columns)
        # A filter may ask for any column.
        fragments = catalogue.read_fragments(self._objects, wanted if filter is None else None)
        tables = (fragment.table for fragment in fragments)
        if filter is not None:
            tables = (table.filter(filter).select(wanted) for table in tables)
        return catalogue.joined(tables, wanted)

    def count_outcomes(self) -> dict[Outcome, int]:
        """Count the images by outcome: those selected, or the committed ones as they are now."""
        if self._selected is None:
            return catalogue.count_outcomes(self._objects.url)
        counted = Counter(self._selected["outcome"].to_pylist())
        return {outcome: counted[outcome.value] for outcome in Outcome}

    def troubles(self, limit: int) -> list[LabelRow]:
        """Return up to `limit` rows of images without a refined label, the failed ones first."""
        rows: list[LabelRow] = []
        for outcome in (Outcome.FAILED, Outcome.REJECTED, Outcome.FELL_BACK):
            table = self.table(filter=pads.field("outcome") == outcome.value)
            columns = table.slice(length=limit - len(rows)).to_pylist()
            rows += [row_from_columns(values) for values in columns]
        return rows

    def find(self, text: str) -> str:
        """Resolve an id, the beginning of one, a uri or the end of its path to one image's id.

        Raises:
            ConfigError: no image fits, or several do; names them.
        """
        if text in self:
            return text
        ids, uris = self._index["id"], self._index["uri"]
        by_name = pc.or_(pc.equal(uris, text), pc.ends_with(uris, pattern=f"/{text.lstrip('/')}"))
        found = ids.filter(pc.or_(pc.starts_with(ids, pattern=text), by_name)).to_pylist()
        if len(found) == 1:
            return str(found[0])
        raise ConfigError(self._not_one(text, found))

    @cached_property
    def quantities(self) -> Mapping[str, Quantity]:
        """What is stored of each label, as its first array group states it; empty without any."""
        for groups in self._array_groups():
            for group in groups.drop_null().to_pylist():
                return self._group(group).by_name
        return {}

    @cached_property
    def absent(self) -> Mapping[str, str]:
        """Why, of each quantity that is stored and of which no label has a value anywhere.

        Spread and confidence take an ensemble: of one member, and of a coarse map, every pixel of
        them is NaN. The catalogue's means tell it, and the maps of some labels are looked at.
        """
        means = {name: f"mean_{name}" for name in self.quantities}
        means = {name: mean for name, mean in means.items() if mean in SCHEMA.names}
        table = self.table(["id", "array_group", *means.values()])
        table = table.filter(table["array_group"].is_valid())
        return {
            name: f"no label of {self.url} has a {name}: it takes an ensemble of two or more"
            for name, mean in means.items()
            if len(table) == table[mean].null_count and not self._any_value(table["id"], name)
        }

    def _any_value(self, ids: pa.ChunkedArray, quantity: str) -> bool:
        """Whether the map of one of a few images, at even distances, has a value."""
        some = ids[:: max(1, len(ids) // _LOOKED_AT)].to_pylist()[:_LOOKED_AT]
        return any(bool(np.isfinite(self[image_id][quantity]).any()) for image_id in some)

    def quantities_of(self, row: LabelRow) -> Mapping[str, Quantity]:
        """Return what is stored of one row. Raises IntegrityError as `read`."""
        return {} if row.array_group is None else self._group(row.array_group).by_name

    def require_quantities(self, names: Sequence[str]) -> None:
        """Refuse to go on where these labels do not have what somebody chose.

        Raises:
            ConfigError: an unknown quantity, or none at all.
        """
        held = self.quantities
        if not names or (held and not set(names) <= set(held)):
            raise ConfigError(
                f"expected some of {', '.join(held or QUANTITIES)}, got "
                f"{', '.join(names) or 'nothing'}; {self._objects.url} holds no other maps"
            )

    def require_values(self, names: Sequence[str]) -> None:
        """Refuse to go on where no label has a value of what somebody chose.

        Raises:
            ConfigError: as `require_quantities`, or a quantity is NaN all over; says why.
        """
        self.require_quantities(names)
        missing = [why for name, why in self.absent.items() if name in names]
        if missing:
            held = [name for name in names if name not in self.absent]
            raise ConfigError(f"{'; '.join(missing)}; choose {', '.join(held) or 'others'} alone")

    def read(self, row: LabelRow, quantity: str) -> AnyMap:
        """Read one map of one row, [height_px, width_px] (and its channels), without its padding.

        Returns:
            float32, or uint8 of codes.

        Raises:
            LookupError: the image ended without a label, or is stored without this quantity.
            IntegrityError: the pixels are not those of this row, or are not there.
        """
        (map_hw,) = self.read_run((row,), quantity)
        return map_hw.astype(self.quantities_of(row)[quantity].in_memory, copy=False)

    def read_run(self, rows: Sequence[LabelRow], quantity: str) -> list[AnyMap]:
        """Read one map of several rows that lie one after the other in one group, in one go.

        One request to the storage instead of one each.

        Args:
            rows: at least one; all of one `array_group`, `array_index` counting up by one.

        Returns:
            [height_px, width_px] (and channels) for each row, in the dtype they are stored in.
            They may share memory.

        Raises:
            LookupError, IntegrityError: as `read`.
        """
        for row in rows:
            if row.array_group is None or row.array_index is None:
                raise LookupError(f"{row.id} has no maps: it {row.outcome} ({row.reason})")
            _require_image(self._group(row.array_group), row)
        sizes = [(row.height_px or 0, row.width_px or 0) for row in rows]
        group, first = rows[0].array_group or "", rows[0].array_index or 0
        if quantity not in self._group(group).by_name:
            held = ", ".join(self._group(group).by_name)
            raise LookupError(f"{rows[0].id} is stored with {held}, and without {quantity}")
        return self._chunks(group, quantity).read(first, sizes)

    def _rows(self) -> pa.Table:
        """Read whole rows of every image."""
        if self._selected is not None:
            return self._selected
        fragments = catalogue.read_fragments(self._objects, SCHEMA.names)
        return catalogue.joined((fragment.table for fragment in fragments), SCHEMA.names)

    @cached_property
    def _index(self) -> pa.Table:
        """Ids, uris and shards of all images: what finding one takes."""
        columns = ("id", "uri", "shard")
        if self._selected is not None:
            return self._selected.select(columns)
        fragments = catalogue.read_fragments(self._objects, columns)
        return catalogue.joined((fragment.table for fragment in fragments), columns)

    @cached_property
    def _by_id(self) -> KeyIndex:
        return catalogue.index_once(keys_of(self._index["id"]), self._objects)

    def _position(self, image_id: object) -> int | None:
        if not isinstance(image_id, str):
            return None
        position: int | None = self._by_id.positions(keys_of(pa.array([image_id])))[0].as_py()
        return position

    def _not_one(self, text: str, found: Sequence[str]) -> str:
        if not found:
            return (
                f"no image {text!r} among the {len(self)} of {self._objects.url}; expected an id, "
                "the beginning of one, or a file name"
            )
        shown = "\n".join(f"  {i}  {self[i].row.uri}" for i in found[:_CANDIDATES_SHOWN])
        return f"{len(found)} images fit {text!r}, say which:\n{shown}"

    def _open_group(self, name: str) -> arrays.GroupFacts:
        return arrays.read_group(self._objects, name)

    def _open_chunks(self, group: str, quantity: str) -> Chunks:
        return arrays.open_array(self._objects, group, self._group(group).by_name[quantity])

    def _array_groups(self) -> Iterator[pa.ChunkedArray]:
        """Yield the array groups of the rows, as they come."""
        if self._selected is not None:
            yield self._selected["array_group"]
            return
        for fragment in catalogue.read_fragments(self._objects, ("array_group",)):
            yield fragment.table["array_group"]

    def _read_fragment(self, shard: str) -> Fragment:
        fragment = catalogue.read_fragment(self._objects, shard)
        if fragment is None:
            raise IntegrityError(f"{self._objects.url}: fragment {shard} was removed meanwhile")
        return fragment


@dataclass(frozen=True, slots=True)
class OutputSummary:
    """How far an output is.

    Attributes:
        outcomes: the committed images by outcome.
        num_left: images of the newest manifest that are not committed.
        notices: what the listing of the newest manifest met beside images.
        num_kept: labels that the run of that manifest has kept: their photographs were touched.
        speed: how fast the last run was that has written it down.
        num_ignored: names in labels/ that no fragment has, such as a sync tool's copies.
        methods: labels by the method that made them; empty of a recipe with one.
    """

    dataset: Dataset
    outcomes: Mapping[Outcome, int]
    num_left: int
    notices: Notices
    num_kept: int = 0
    num_ignored: int = 0
    speed: RunSpeed | None = None
    methods: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_done(self) -> int:
        return sum(self.outcomes.values())


def open_labels(url: str) -> Labels:
    """Open an output's labels by its root; reads dataset.json and nothing else yet.

    Raises:
        ConfigError: there are no labels at `url`, or none that can be read through it; says what
            is there, and what to do.
    """
    return Labels(open_objects(url), read_dataset(url))


def _reopen(url: str, dataset: Dataset, selected: pa.Table | None) -> Labels:
    return Labels(open_objects(url), dataset, selected)


def summarise(out: str) -> OutputSummary:
    """Count what is committed and what the newest plan has left."""
    dataset = read_dataset(out)
    objects = open_objects(out)
    committed = catalogue.committed_images(objects)
    planned = manifest.latest_manifest_ids(objects)
    left = KeyIndex(committed.keys_n2).positions(keys_of(planned)).null_count
    outcomes = dict.fromkeys(Outcome, 0)
    catalogue.add_counts(outcomes, committed.outcomes)
    notices, num_kept = manifest.latest_notices(objects), num_kept_lately(objects)
    num_ignored = len(catalogue.ignored_names(objects))
    speed = last_speed(objects)
    methods = catalogue.count_methods(out)
    return OutputSummary(dataset, outcomes, left, notices, num_kept, num_ignored, speed, methods)


def _require_image(group: arrays.GroupFacts, row: LabelRow) -> None:
    index = row.array_index or 0
    if index >= len(group.images) or group.images[index] != row.id:
        raise IntegrityError(
            f"{row.id}: arrays/{row.array_group} holds another image at {index}; two runs wrote "
            f"shard {row.shard} at once; remove its fragment and run again"
        )
