"""What an export format is: its files, what it says of their numbers, its writer and its reader."""

from __future__ import annotations

import io
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from redepth.exports.items import Item, names_by_id
from redepth.quantities import AnyMap, Quantity
from redepth.settings import Settings
from redepth.store.objects import Objects
from redepth.types import DepthKind

CATALOGUE = "catalogue.parquet"
SHARDS = "data"  # where Hugging Face `datasets` looks first
IMAGES = "image"

# A feature of `datasets` as its cards say them, e.g. {"name": "id", "dtype": "string"}.
Feature = Mapping[str, Any]
OnImage = Callable[[], None]


class ExportSettings(Settings):
    """The settings of a format; a format that has some adds them to these."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an export holds of every image: these maps, and perhaps the photograph."""

    quantities: tuple[Quantity, ...]
    with_images: bool = False


@dataclass(frozen=True, slots=True)
class MapFacts:
    """What may be written beside a map.

    Attributes:
        image_id, quantity: whose map, and which.
        kind: what coarse and refined mean.
        described: what export.json says of the quantity, for every image.
        photograph_px: (width, height) of the upright photograph, where the row knows it.
    """

    image_id: str
    quantity: Quantity
    kind: DepthKind
    described: Mapping[str, Any] = field(default_factory=dict)
    photograph_px: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is in an export: its id, its shard, and the name of its files."""

    image_id: str
    shard: str
    name: str


@dataclass(frozen=True, slots=True)
class EncodedMap:
    """The files of one map.

    Attributes:
        files: content by suffix, in the order of `MapFormat.suffixes`.
        num_lost: pixels with a value that the format cannot say.
    """

    files: Mapping[str, bytes]
    num_lost: int = 0


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What holds for every image of an export.

    Attributes:
        contents: what it holds of each.
        settings: the format's, of the format's own type.
        described: what export.json says, by quantity.
        opened: what the format opened beside the labels; see `ExportFormat.open`.
    """

    contents: Contents
    settings: Any
    described: Mapping[str, Mapping[str, Any]]
    opened: Any = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What a format says of an export as a whole, when every image is written.

    Attributes:
        facts: for export.json, by name.
        remarks: for a person, by what they are about.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)


def exact(quantity: Quantity) -> dict[str, Any]:
    """Say that a format holds a quantity as it is: float32 with NaN where invalid, or codes."""
    invalid = "NaN" if quantity.in_memory.kind == "f" else None
    said = {"type": quantity.in_memory.name, "scale": 1.0, "offset": 0.0}
    return {**said, "invalid": invalid, "precision": "exact"}


def found_by_itself(contents: Contents) -> Sequence[Feature]:
    """Say that `datasets` finds the columns' types in the files."""
    return ()


def takes_nothing() -> None:
    """Say that a format needs nothing that redepth does not bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat(ABC):
    """A format under the name that `redepth export --format` takes: a MapFormat or a ShardFormat.

    Attributes:
        name: of the format.
        files: which files hold what, for the docs and the command line.
        settings: what may be chosen of it.
        describe: type, scale, offset, invalid value and precision of a quantity's numbers, as
            export.json says them.
        check: raises ConfigError, with the fix, where a library that it takes is not installed.
        loaded: what Hugging Face `datasets` loads of an export, a glob; the catalogue where it has
            no reader of the format.
        features: the columns of these files, where `datasets` would guess their types.
        names: names the files of images, by their ids and uris.
        holds_numbers: whether maps come back as the labels have them; pictures to look at do not,
            nor does depth in a scene's unit.
    """

    name: str
    files: str
    settings: type[ExportSettings] = ExportSettings
    describe: Callable[[Quantity], dict[str, Any]] = exact
    check: Callable[[], None] = takes_nothing
    loaded: str = CATALOGUE
    features: Callable[[Contents], Sequence[Feature]] = found_by_itself
    names: Callable[[Sequence[str], Sequence[str]], list[str]] = names_by_id
    holds_numbers: bool = True

    @abstractmethod
    def piece_of(self, name: str, shard: str) -> str:
        """Name the piece an image belongs to, by its name and shard: what is written together."""

    @abstractmethod
    def objects(self, piece: str, export: ExportFacts) -> list[str]:
        """Name a piece's objects below the export's root; it is whole when all are there."""

    def folders(self, export: ExportFacts) -> Sequence[str]:
        """Name the folders that pieces lie in."""
        return (SHARDS, IMAGES, *(quantity.name for quantity in export.contents.quantities))

    def open(self, export: ExportFacts) -> Any:
        """Open what the settings name beside the labels; None where they name nothing.

        Raises:
            ConfigError: it cannot be read, or the contents are not what the format takes.
        """
        return None

    def sources(self, export: ExportFacts) -> Mapping[str, str]:
        """Return digests of what was opened: an export goes on with the same alone."""
        return {}

    def named(
        self, ids: Sequence[str], uris: Sequence[str], export: ExportFacts
    ) -> Sequence[str | None]:
        """Name the files of images; None leaves an image out of the export."""
        return self.names(ids, uris)

    def require_free(self, root: Objects, export: ExportFacts) -> None:
        """Refuse to begin where other files have the names of this export's.

        Raises:
            ConfigError: names them.
        """
        return

    def finish(self, root: Objects, names: Sequence[str], export: ExportFacts) -> Finished:
        """Write what speaks of all images, by the names of those that are written."""
        return Finished()

    @abstractmethod
    def write(
        self,
        root: Objects,
        shard: str,
        items: Iterable[Item],
        export: ExportFacts,
        on_image: OnImage,
    ) -> int:
        """Write images of one shard; return the pixels that the format cannot say."""

    @abstractmethod
    def read(self, root: Objects, place: Place, quantity: str) -> AnyMap:
        """Read a map back, float32 with NaN where invalid. Raises KeyError: not in there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFormat(ExportFormat):
    """A format with a file for each map, QUANTITY/NAME.SUFFIX, and perhaps some that explain it.

    Attributes:
        suffixes: of a map's files without a dot, the map's own last.
        encode: turns a map into their contents.
        decode: turns their contents, by suffix, back into the map.
    """

    suffixes: tuple[str, ...]
    encode: Callable[[AnyMap, MapFacts, Any], EncodedMap]
    decode: Callable[[Mapping[str, bytes]], AnyMap]

    def piece_of(self, name: str, shard: str) -> str:
        """Name an image: each is a piece of its own."""
        return name

    def objects(self, piece: str, export: ExportFacts) -> list[str]:
        """Name the files of every map, and the photograph."""
        folders = [quantity.name for quantity in export.contents.quantities]
        names = [f"{folder}/{piece}.{suffix}" for folder in folders for suffix in self.suffixes]
        return [*names, f"{IMAGES}/{piece}.png"] if export.contents.with_images else names

    def write(
        self,
        root: Objects,
        shard: str,
        items: Iterable[Item],
        export: ExportFacts,
        on_image: OnImage,
    ) -> int:
        """Write the files of each image; a map comes after what explains it."""
        num_lost = 0
        for item in items:
            for quantity, map_hw in item.maps.items():
                encoded = self.encode(map_hw, _facts_of(item, quantity, export), export.settings)
                for suffix in self.suffixes:
                    root.put(f"{quantity.name}/{item.name}.{suffix}", encoded.files[suffix])
                num_lost += encoded.num_lost
            if item.photograph is not None:
                root.put(f"{IMAGES}/{item.name}.png", item.photograph)
            on_image()
        return num_lost

    def read(self, root: Objects, place: Place, quantity: str) -> AnyMap:
        """Read a map's files."""
        stem = f"{quantity}/{place.name}"
        return self.decode({suffix: root.read(f"{stem}.{suffix}") for suffix in self.suffixes})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFormat(ExportFormat):
    """A format with a file for the images of a shard, data/SHARD.SUFFIX.

    Attributes:
        suffix: of the files, without a dot.
        write_shard: writes images, one after the other, to a path.
        read_map: reads one map of a file back, of the image at a place; raises KeyError: not in
            there.
    """

    suffix: str
    write_shard: Callable[[Path, Iterable[Item], Contents, Any], None]
    read_map: Callable[[BinaryIO, Place, str], AnyMap]

    def piece_of(self, name: str, shard: str) -> str:
        """Name the shard: its images are written together."""
        return shard

    def objects(self, piece: str, export: ExportFacts) -> list[str]:
        """Name the shard's file."""
        return [f"{SHARDS}/{piece}.{self.suffix}"]

    def write(
        self,
        root: Objects,
        shard: str,
        items: Iterable[Item],
        export: ExportFacts,
        on_image: OnImage,
    ) -> int:
        """Write the shard beside, then put it under its name, whole."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "shard")
            counted = _counted(items, on_image)
            self.write_shard(path, counted, export.contents, export.settings)
            (name,) = self.objects(shard, export)
            root.put_file(name, path)
        return 0

    def read(self, root: Objects, place: Place, quantity: str) -> AnyMap:
        """Read a map out of its shard's file."""
        content = root.read(f"{SHARDS}/{place.shard}.{self.suffix}")
        return self.read_map(io.BytesIO(content), place, quantity)


def _facts_of(item: Item, quantity: Quantity, export: ExportFacts) -> MapFacts:
    kind = item.row.kind
    assert kind is not None, "a label has a kind"
    width_px, height_px = item.row.image_width_px, item.row.image_height_px
    return MapFacts(
        item.row.id,
        quantity,
        kind,
        export.described[quantity.name],
        None if width_px is None or height_px is None else (width_px, height_px),
    )


def _counted(items: Iterable[Item], on_image: OnImage) -> Iterator[Item]:
    for item in items:
        yield item
        on_image()
