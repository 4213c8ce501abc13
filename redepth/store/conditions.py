"""Choosing rows of the catalogue by a condition in SQL, which DuckDB reads and evaluates."""

from __future__ import annotations

from types import ModuleType

import pyarrow as pa

from redepth.errors import ConfigError
from redepth.store.rows import SCHEMA


def rows_where(rows: pa.Table, condition: str) -> pa.Table:
    """Return the rows for which a condition holds, in their order.

    Args:
        rows: any columns; the condition names them.
        condition: what would follow WHERE, e.g. "mean_confidence > 0.8 and outcome = 'refined'".
            As everywhere in SQL a comparison with null does not hold.

    Raises:
        ConfigError: it is no condition, it names an unknown column, or DuckDB is not installed.
    """
    chosen, said = _filtered(rows, condition)
    if chosen is None:
        raise ConfigError(_explained(condition, said, rows.column_names))
    return chosen.cast(rows.schema)


def check_condition(condition: str) -> None:
    """Refuse, without reading anything, what is no condition over the catalogue's columns.

    Raises:
        ConfigError: as `rows_where`.
    """
    rows_where(SCHEMA.empty_table(), condition)


def _filtered(rows: pa.Table, condition: str) -> tuple[pa.Table | None, str]:
    """Return the rows, or None and what DuckDB said.

    Its exception is not let out: held by a traceback until the process ends, it takes DuckDB's
    objects along, and they print a page about leaks then.
    """
    duckdb = _duckdb()
    # A condition may come from a file or a form: it sees these rows, and neither disk nor network.
    with duckdb.connect(config={"enable_external_access": "false", "threads": "1"}) as database:
        try:
            return database.from_arrow(rows).filter(condition).to_arrow_table(), ""
        except duckdb.Error as error:
            return None, str(error).partition("\n")[0]


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError(
            "choosing labels by a condition takes DuckDB, which is not installed: "
            "pip install 'redepth[sql]'"
        ) from error
    module: ModuleType = duckdb
    return module


def _explained(condition: str, said: str, columns: list[str]) -> str:
    return (
        f"cannot choose labels where {condition!r}: {said}; expected a condition in SQL over "
        f"{', '.join(columns)}"
    )
