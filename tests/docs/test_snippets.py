"""Every snippet of these pages runs, one after the other as a reader would type them."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pytest
from typer.testing import CliRunner

from flows.cli import app
from tests.docs.markdown_pages import PAGES, blocks, command_lines
from tests.docs.page_samples import write_collection, write_labels, write_truth

# What each page must at least print when all of it was run, as a pattern.
PRINTED = {
    "docs/using-labels.md": r"(?m)^True$",
    "docs/torch.md": r"loss \d",
    "docs/exporting.md": r"(?s)affine_invariant_disparity \d.*\(24, 32\)",
    "docs/evaluation.md": r"(?s)abs_rel \d.*refiner\.num_steps",
}
SQL = [pytest.param(query, id=page) for page in PRINTED for query in blocks(PAGES[page], "sql")]
# Commands of these pages that run on the small output. `evaluate` starts Prefect's server, the
# others need no engine.
RUN = {
    "docs/evaluation.md": {"evaluate", "calibrate", "compare"},
    "docs/exporting.md": {"export", "report", "push"},
    "docs/reports.md": {"report"},
    "docs/resuming.md": {"clean"},
}
RUNS = [
    pytest.param(
        words[1:],
        id=f"{page}: {' '.join(words)}",
        marks=pytest.mark.slow if words[1] == "evaluate" else (),
    )
    for page, names in RUN.items()
    for words in command_lines(PAGES[page])
    if words[0] == "redepth" and words[1] in names
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in a folder that holds `photographs/`, `labels/`, `labels-b/` and `truth/`."""
    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "huggingface"))
        write_collection(Path("photographs"), Path("labels"))
        write_labels(Path("photographs"), Path("labels-b"), ("labels.refiner.num_steps=5",))
        write_truth(Path("photographs"), Path("truth"))
        yield folder


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves them so
@pytest.mark.parametrize(("page", "printed"), PRINTED.items())
def test_the_python_snippets_run_one_after_the_other(
    page: str, printed: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snippets = blocks(PAGES[page], "python")
    assert snippets
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{page}, snippet {number}", "exec"), names)
    names.clear()
    gc.collect()  # here, and not in another test that minds
    assert re.search(printed, capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("query", SQL)
def test_the_sql_runs(query: str) -> None:
    assert duckdb.sql(query).fetchall()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", RUNS)
def test_a_command_of_these_pages_runs(arguments: list[str]) -> None:
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output or found.exception
