"""A footer's sizes are those that pyarrow tells; a damaged footer does not end the process."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.errors import ConfigError
from redepth.images.lists.parquet_footer import row_groups

TABLE = pa.table(
    {
        "uri": ["a.jpg", None, "ü.jpg"] * 40,
        "id": list(range(120)),
        "image": [{"bytes": b"x", "path": None}] * 120,
        "several": [["a", "b"], [], None] * 40,
        "a.b": [1.5] * 120,
        "yes": [True, False, None] * 40,
    }
)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "write_statistics": False},
                                     {"write_page_index": True, "compression": "zstd"},
                                     {"sorting_columns": [pq.SortingColumn(1)], "version": "1.0"}],
                         ids=str)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 7, 120])
def test_what_pyarrow_says(options: dict[str, object], rows: int) -> None:
    file = io.BytesIO()
    pq.write_table(TABLE, file, row_group_size=rows, **options)
    metadata = pq.ParquetFile(file).metadata
    found = row_groups("x", file)
    assert len(found) == metadata.num_row_groups
    for i, group in enumerate(found):
        told = [metadata.row_group(i).column(c) for c in range(metadata.num_columns)]
        assert [(c.path, c.num_values, c.num_bytes) for c in group] == [
            (c.path_in_schema, c.num_values, c.total_uncompressed_size) for c in told
        ]


def test_a_damaged_footer_is_refused() -> None:
    file = io.BytesIO()
    pq.write_table(TABLE, file)
    whole = file.getvalue()
    length = int.from_bytes(whole[-8:-4], "little")
    for place in range(length):
        damaged = bytearray(whole)
        damaged[-8 - length + place] ^= 0xFF
        try:
            row_groups("x", io.BytesIO(bytes(damaged)))
        except ConfigError as error:
            assert str(error) == "x is not a readable Parquet file: damaged footer"
    for content in (b"", b"PAR1", whole[:-9], b"\xff" * 100 + b"\x60\0\0\0PAR1"):
        with pytest.raises(ConfigError):
            row_groups("x", io.BytesIO(content))


CHILD = """
import sys
from pathlib import Path
from redepth.errors import ConfigError
from redepth.images.collection import list_images
path, whole = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
length = int.from_bytes(whole[-8:-4], "little")
for place in range(len(whole) - 8 - length, len(whole)):
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        list(list_images(str(path)))
    except ConfigError:
        pass
print("listed", length + 8)
"""


@pytest.mark.parametrize("columns", [["uri", "id"], ["image", "id"]])
def test_no_byte_of_a_footer_ends_the_process(columns: list[str], tmp_path: Path) -> None:
    """pyarrow aborts on some: a child tries them, so that the tests would go on."""
    pq.write_table(TABLE.select(columns), tmp_path / "a.parquet", compression="none")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "a.parquet")]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stdout.startswith("listed")
