"""What the pages say is true: snippets run, commands parse, targets and links are there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import redepth.errors
from flows.cli import app
from redepth.config import load_recipe, shipped_recipes
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from tests.docs.markdown_pages import PAGES, ROOT, blocks, command_lines, without_blocks

README = PAGES["README.md"]

REDEPTH_LINES = [
    pytest.param(words[1:], id=f"{page}: {' '.join(words)}")
    for page, text in PAGES.items()
    for words in command_lines(text)
    if words[0] == "redepth"
]


def spoken(text: str, program: str) -> set[str]:
    """Return the first words that follow `program` within code spans and bash blocks."""
    spans = re.findall(rf"`{program} ([a-z0-9-]+)", without_blocks(text))
    return {*spans, *(words[1] for words in command_lines(text) if words[0] == program)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stand in a folder that holds labels as `make demo` leaves it, made without an engine.

    One file is no photograph, so that a query for what went wrong finds something.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("clone"))
        write_photographs(Path("demo/photographs"))
        label_without_engines("demo/photographs", "demo/photograph-labels")
        yield


def write_photographs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for seed, name in enumerate(("astronaut.png", "coffee.png")):
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 64 + seed, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "rocket.jpg").write_bytes(b"no photograph")


def label_without_engines(photographs: str, out: str) -> None:
    recipe = load_recipe("mini-coarse", ("labels.coarse.size_px=56",))
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(photographs), out, recipe)
    begin(out, recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, label_shard(labeller, shard.images), recipe.labels.storage)


@pytest.mark.usefixtures("demo")
def test_the_python_snippets_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    snippets = blocks(README, "python")
    assert snippets
    names: dict[str, Any] = {}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"README.md, snippet {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "refined affine_invariant_disparity" in said


def test_the_readme_fits_on_three_screens() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150
    assert max(map(len, (line for line in lines if not line.startswith(("|", "!"))))) <= 120


@pytest.mark.parametrize("arguments", REDEPTH_LINES)
def test_a_redepth_command_parses(arguments: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    group.commands[name].make_context(name, rest)


def test_the_readme_shows_every_command() -> None:
    group: Any = typer.main.get_command(app)
    assert spoken(README, "redepth") == set(group.commands)


@pytest.mark.parametrize("page", PAGES)
def test_every_redepth_command_named_exists(page: str) -> None:
    group: Any = typer.main.get_command(app)
    assert spoken(PAGES[page], "redepth") - set(group.commands) == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_named_exists(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, flags=re.MULTILINE))
    assert spoken(PAGES[page], "make") - targets == set()


def test_the_first_command_is_the_demo_and_the_second_the_tests() -> None:
    assert command_lines(README)[:2] == [["make", "demo"], ["make", "test"]]


def test_the_readme_names_every_recipe() -> None:
    named = set(re.findall(r"\]\(configs/([\w-]+)\.yaml\)", README))
    assert named == set(shipped_recipes())


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_rooms_are_those_of_the_import_contracts(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == ["redepth"])
    drawn = r"[\s>]+".join(re.escape(layer) for layer in layers)
    assert re.search(rf"^    {drawn}$", PAGES[page], flags=re.MULTILINE)


def test_the_architecture_explains_every_error() -> None:
    errors = {name for name, value in vars(redepth.errors).items() if isinstance(value, type)}
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGES["ARCHITECTURE.md"], flags=re.MULTILINE))
    assert errors - {"RedepthError"} - explained == set()


def test_pictures_are_small_enough_for_a_repository() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [p.name for p in pictures if p.stat().st_size > 400_000] == []
