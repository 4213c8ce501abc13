"""The snippets of docs/betterdepth.md and docs/sharpdepth.md run on the small refiners."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

from flows.cli import app
from redepth.config import load_recipe
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.training import CONFIGS, METHODS
from tests.docs.markdown_pages import PAGES as TEXTS
from tests.docs.markdown_pages import blocks

MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"
PAGES = {
    "betterdepth": ("refiner", "coarse", r"(64, 64) 4"),
    "sharpdepth": ("sharpener", "metric_depth", r"(64, 64) [0."),
}


@pytest.mark.parametrize("name", PAGES)
def test_the_snippet_refines_a_photograph(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, argument, printed = PAGES[name]
    monkeypatch.chdir(tmp_path)
    scene = render_scene("fences", 0, 64, Split.TUNING)
    Image.fromarray(scene.rgb_hw3).save("photograph.png")
    Path(out).mkdir()
    (Path(out) / "model").symlink_to(MINI / name)
    (snippet,) = blocks(TEXTS[f"docs/{name}.md"], "python")
    assert len([line for line in snippet.splitlines() if line]) == 5
    exec(compile(snippet, name, "exec"), {argument: scene.depth_hw})
    assert capsys.readouterr().out.startswith(printed)


@pytest.mark.parametrize("name", PAGES)
def test_the_config_of_a_page_validates(name: str, tmp_path: Path) -> None:
    (text,) = blocks(TEXTS[f"docs/{name}.md"], "yaml")
    path = tmp_path / "config.yaml"
    path.write_text(text)
    settings = CONFIGS.load(METHODS[name].settings, str(path))
    assert settings.model_dump(mode="json", exclude_unset=True) == yaml.safe_load(text)


COMMANDS = [
    pytest.param(shlex.split(line, comments=True)[1:], id=f"{page}: {line[:60]}")
    for page in (
        "docs/betterdepth.md",
        "docs/sharpdepth.md",
        "docs/training.md",
        "docs/mini-models.md",
    )
    for block in blocks(TEXTS[page], "bash")
    for line in block.splitlines()
    if line.startswith("redepth train")
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_a_page_parses_and_its_settings_are_there(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    group: Any = typer.main.get_command(app)
    method, rest = words[1], words[2:]
    for name, out in (("betterdepth", "refiner"), ("sharpdepth", "sharpener")):
        (text,) = blocks(TEXTS[f"docs/{name}.md"], "yaml")
        Path(f"{out}.yaml").write_text(text)
    found = group.commands["train"].commands[method].make_context(method, rest).params
    config = found["config"] or METHODS[method].default_config
    CONFIGS.load(METHODS[method].settings, config, found["settings"] or ())


def test_the_recipes_of_the_pages_are_shipped() -> None:
    assert {load_recipe(f"{name}-mini").labels.refiner.method for name in PAGES} == set(PAGES)
