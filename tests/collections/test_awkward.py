"""One run over one of everything: each file is labelled, rejected, counted or named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from redepth.store.manifest import latest_notices
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from redepth.types import LabelRow, Outcome
from tests.collections.awkward import FILES, Awkward, Fate, source_of, write_collection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Label the collection; return its folder, the output and what the terminal said."""
    folder = tmp_path_factory.mktemp("awkward")
    write_collection(folder / "in")
    command = [str(Path(sys.executable).with_name("redepth")), "label", source_of(folder / "in"),
               "--out", str(folder / "out"), "--recipe", "mini-coarse", "--strict"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr  # --strict: there are rejections and faults
    return folder / "in", folder / "out", ended.stderr + ended.stdout


def rows_of(file: Awkward, folder: Path, rows: list[LabelRow]) -> list[LabelRow]:
    place = f"{folder}/{file.name}"
    return [row for row in rows if row.uri == place or row.uri.endswith(f"::file://{place}")]


def test_every_file_is_accounted_for(labels: tuple[Path, Path, str]) -> None:
    folder, out, _ = labels
    every = open_labels(str(out))
    rows = every.rows(range(len(every)))
    notices = latest_notices(open_objects(str(out)))
    kinds = {kind.kind for kind in notices.passed_over}
    faults = {fault.place: fault.reason for fault in notices.faults}
    wrong = []
    for file in FILES:
        found = rows_of(file, folder, rows)
        labelled = [row for row in found if row.outcome.has_label]
        match file.fate:
            case Fate.LABELLED:
                notes = " ".join(str(row.decode_notes) for row in labelled)
                is_right = len(labelled) == (file.num_labelled or 1) and file.said in notes
            case Fate.REJECTED:
                is_right = [row.outcome for row in found] == [Outcome.REJECTED]
                is_right &= file.said in (found[0].reason or "") if found else False
            case Fate.PASSED_OVER:
                is_right = not found and file.said in kinds
            case Fate.FAULT:
                named = [place for place in faults if place.startswith(f"{folder}/{file.name}")]
                is_right = bool(named) and len(labelled) == file.num_labelled
        if not is_right:
            wrong.append((file.name, file.fate, [(row.outcome, row.reason) for row in found]))
    assert not wrong, json.dumps([*map(str, wrong), *map(str, notices.passed_over), str(faults)])


def test_the_report_and_the_terminal_name_them(labels: tuple[Path, Path, str]) -> None:
    folder, out, said = labels
    (page,) = out.glob("reports/*/index.html")
    html = page.read_text()
    for file in FILES:
        if file.fate is Fate.FAULT:
            assert f"{folder}/{file.name}" in html
        if file.fate is Fate.PASSED_OVER:
            assert file.said.replace("'", "&#39;") in html
            assert file.said in said
