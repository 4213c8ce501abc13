"""Writers of lists and containers, one a reader: a rule is tested against every one of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Record = dict[str, Any]
Writer = Callable[[Path, list[Record]], None]


def picture(shade: int = 0) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 255 - shade, 7)).save(content, "PNG")
    return content.getvalue()


def _write(path: Path, text: str) -> None:
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_txt(path: Path, records: list[Record]) -> None:
    _write(path, "".join(f"{record['uri']}\n" for record in records))


def write_table(path: Path, records: list[Record]) -> None:
    file = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(file, names, delimiter="\t" if ".tsv" in path.name else ",")
    writer.writeheader()
    writer.writerows(records)
    _write(path, file.getvalue())


def write_jsonl(path: Path, records: list[Record]) -> None:
    _write(path, "".join(json.dumps(record) + "\n" for record in records))


def write_json(path: Path, records: list[Record]) -> None:
    _write(path, json.dumps(records, indent=2))


def write_parquet(path: Path, records: list[Record]) -> None:
    pq.write_table(pa.Table.from_pylist(records), path)


def write_images(path: Path, records: list[Record]) -> None:
    """Write a Parquet file that holds the photographs: its uris are its own."""
    rows = [
        {"image": picture(i), **{name: record[name] for name in record if name != "uri"}}
        for i, record in enumerate(records)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_tar(path: Path, records: list[Record]) -> None:
    """Write samples as WebDataset has them, each with its caption, if it has one."""
    with tarfile.open(path, "w") as tar:
        for i, record in enumerate(records):
            files = {f"{i:03}.png": picture(i)}
            caption = record.get("caption")
            if caption is not None:
                text = caption if isinstance(caption, bytes) else str(caption).encode()
                files[f"{i:03}.txt"] = text
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


WRITERS: dict[str, Writer] = {
    "l.txt": write_txt,
    "l.csv": write_table,
    "l.tsv": write_table,
    "l.jsonl": write_jsonl,
    "l.ndjson": write_jsonl,
    "l.json": write_json,
    "l.txt.gz": write_txt,
    "l.csv.gz": write_table,
    "l.tsv.gz": write_table,
    "l.jsonl.gz": write_jsonl,
    "l.ndjson.gz": write_jsonl,
    "l.json.gz": write_json,
    "l.parquet": write_parquet,
    "images.parquet": write_images,
    "samples.tar": write_tar,
}
TYPED = ("l.jsonl", "l.ndjson", "l.json", "l.jsonl.gz", "l.ndjson.gz", "l.json.gz", "l.parquet",
         "images.parquet")  # fmt: skip
WITH_FIELDS = ("l.csv", "l.tsv", "l.csv.gz", "l.tsv.gz", *TYPED)
WITH_CAPTIONS = (*WITH_FIELDS, "samples.tar")
WITH_URIS = tuple(name for name in WRITERS if name not in ("images.parquet", "samples.tar"))
