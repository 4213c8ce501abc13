"""Files that people give as a collection and that are none that is read, with what to do instead.

A file of any other name is taken for one photograph: what it is decides its content.
"""

from __future__ import annotations

from dataclasses import dataclass

from redepth.errors import ConfigError
from redepth.images.uris import file_name
from redepth.redaction import shown


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A kind of file that is no collection.

    Attributes:
        name: as a person calls it.
        suffixes: of its names, in lower case.
        advice: what to give instead.
    """

    name: str
    suffixes: tuple[str, ...]
    advice: str


_AS_PARQUET = "write it as Parquet with the photographs' bytes in a column `image`"
_AS_CSV = "save it as CSV with a column `uri`"
_AS_PICTURES = "write each photograph as a PNG file"
_AS_TAR = "write the photographs as files, or pack them as a tar"
_UNPACK = "unpack it; photographs may stay packed in a .tar without compression or in a .zip"

OTHER_FILES = (
    OtherFile("an Arrow file", (".arrow", ".feather", ".ipc", ".lance"), _AS_PARQUET),
    OtherFile("an ORC or Avro table", (".orc", ".avro"), _AS_PARQUET),
    OtherFile("a spreadsheet", (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), _AS_CSV),
    OtherFile("NumPy arrays", (".npz", ".npy"), _AS_PICTURES),
    OtherFile("an HDF5 or MATLAB file", (".h5", ".hdf5", ".hdf", ".mat"), _AS_PICTURES),
    OtherFile("a pickle", (".pkl", ".pickle", ".pt", ".pth"), _AS_PICTURES),
    OtherFile("a TFRecord file", (".tfrecord", ".tfrecords"), _AS_TAR),
    OtherFile("a database", (".db", ".sqlite", ".sqlite3", ".duckdb", ".mdb", ".lmdb"), _AS_CSV),
    OtherFile("a list of a kind", (".xml", ".yaml", ".yml", ".toml"), _AS_CSV),
    OtherFile(
        "a packed file", (".gz", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar", ".z"), _UNPACK
    ),
)
_BY_SUFFIX = {suffix: other for other in OTHER_FILES for suffix in other.suffixes}


def is_other_file(uri: str) -> bool:
    """Whether the name is that of a file that is no collection."""
    return _suffix(uri) in _BY_SUFFIX


def require_no_other_file(uri: str) -> None:
    """Refuse a file that would be taken for one damaged photograph.

    Raises:
        ConfigError: says what it is and what to give instead.
    """
    other = _BY_SUFFIX.get(_suffix(uri))
    if other is not None:
        raise ConfigError(f"{shown(uri)} is {other.name}, which is not read: {other.advice}")


def _suffix(uri: str) -> str:
    _, dot, suffix = file_name(uri).rpartition("/")[2].rpartition(".")
    return dot + suffix
