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
    "docs/confidence.md": r"(?s)holds for images like.*70% of the pixels are kept.*loss \d",
}
SQL = [pytest.param(query, id=page) for page in PRINTED for query in blocks(PAGES[page], "sql")]
# Commands of these pages that run on the small output. `evaluate` and `export` start Prefect in
# this process, and DataLoader workers that are forked from it afterwards end with code 1; the
# others need no engine.
RUN = {
    "docs/confidence.md": {"evaluate", "calibrate", "export"},
    "docs/evaluation.md": {"evaluate", "calibrate", "compare"},
    "docs/exporting.md": {"export", "report", "push"},
    "docs/reports.md": {"report"},
    "docs/resuming.md": {"clean"},
}
RUNS = [
    pytest.param(
        words[1:],
        id=f"{page}: {' '.join(words)}",
        marks=pytest.mark.slow if words[1] in ("evaluate", "export") else (),
    )
    for page, names in RUN.items()
    for words in command_lines(PAGES[page])
    if words[0] == "redepth" and words[1] in names
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in a folder that holds `photographs/`, `labels/`, `labels-b/` and `truth/`.

    And 40 labels with ground truth to calibrate on, with what `redepth calibrate` makes of them.
    """
    folder = tmp_path_factory.mktemp("reader")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "huggingface"))
        write_collection(Path("photographs"), Path("labels"))
        write_labels(Path("photographs"), Path("labels-b"), ("labels.refiner.num_steps=5",))
        write_truth(Path("photographs"), Path("truth"))
        write_collection(Path("calibration"), Path("calibration-labels"), 40)
        write_truth(Path("calibration"), Path("calibration-truth"))
        first = next(iter(command_lines(PAGES["docs/confidence.md"])))
        assert CliRunner().invoke(app, first[1:]).exit_code == 0
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
