"""The notebook of the first steps runs as it is written, and its cells show what they promise."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_steps.ipynb"


def _run(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; return the value of its last line, which a notebook would show."""
    *before, last = ast.parse(source).body
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return None


def test_every_cell_runs_and_shows_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in cells), "outputs are not committed"
    names: dict[str, Any] = {}
    shown = [_run("".join(cell["source"]), names) for cell in cells]
    assert all(value is not None for value in shown)
    assert "<img" in shown[0]._repr_html_()
    assert names["refined"].colours().size == (512, 512)
    assert {path.suffix for path in (tmp_path / "maps").iterdir()} == {".png", ".json", ".npy"}
    assert {path.suffix for path in (tmp_path / "metric").iterdir()} == {".ply"}
