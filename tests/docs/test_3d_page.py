"""Every snippet of docs/3d.md runs on a rendered scene, in the order of the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import app
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.reconstruction.ply import read_ply
from redepth.store.reader import open_labels
from tests.docs.markdown_pages import ROOT, blocks
from tests.exports.posed_samples import write_posed

PAGE = "docs/3d.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in a folder that holds `images/`, `labels/` and `sparse/0/`."""
    folder = tmp_path_factory.mktemp("scene")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_posed(Path())
        yield folder


def commands() -> list[list[str]]:
    lines = (
        line for block in blocks(TEXT, "bash") for line in block.replace("\\\n", " ").splitlines()
    )
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def run(words: list[str]) -> None:
    """Run a command; an export without Prefect's server, which takes its time to start."""
    program, name, *arguments = words
    assert program == "redepth"
    group: Any = typer.main.get_command(app)
    given = group.commands[name].make_context(name, list(arguments)).params
    if name == "export":
        request = ExportRequest(
            given["format"],
            tuple(given["quantity"].split(",")),
            given["where"],
            given["with_images"],
            settings_of(given),
        )
        export_labels(open_labels(given["labels"]), given["out"], request)
    else:
        found = CliRunner().invoke(app, [name, *arguments])
        assert found.exit_code == 0, found.output or found.exception


def settings_of(given: dict[str, Any]) -> dict[str, str]:
    pairs = (text.split("=", 1) for text in given["settings"] or ())
    colmap = {} if given["colmap"] is None else {"colmap": str(given["colmap"])}
    return {**dict(pairs), **colmap}


def test_the_commands_and_the_snippets_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in commands():
        run(words)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, snippet in enumerate(blocks(TEXT, "python")):
        exec(compile(snippet, f"{PAGE}, snippet {number}", "exec"), names)
    printed = capsys.readouterr().out
    assert re.search(r"(?s)\(64, 64\) [1-9].*metres \d+ \d+", printed)
    assert len(read_ply(Path("label-2.ply")).xyz_n3) > 1000
    assert Path("label-2.glb").read_bytes().startswith(b"glTF")
    assert (folder / "splatting/sparse/0/depth_params.json").is_file()


def test_every_posed_format_and_setting_on_the_page_exists() -> None:
    from redepth.exports import exporters

    formats = set(re.findall(r"--format ([a-z-]+)", TEXT))
    assert formats <= set(exporters.own)
    known = {name for one in exporters.own.values() for name in one.settings.model_fields}
    assert set(re.findall(r"--set (\w+)=", TEXT)) <= known


def test_every_link_of_the_page_resolves() -> None:
    links = re.findall(r"\]\(([^()\s]+)\)", TEXT)
    local = [link for link in links if not link.startswith("http")]
    assert local and all((ROOT / "docs" / link.partition("#")[0]).exists() for link in local)
