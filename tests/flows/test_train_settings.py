"""`redepth train METHOD` takes its settings from the method's settings model, and says them all."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.commands.training import next_command
from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.training import CONFIGS, METHODS

NEEDED = {
    "betterdepth": (
        *("data.folder=data", "data.format=scenes", "data.labels=coarse"),
        "init.folder=first",
    ),
    "sharpdepth": ("data.labels=metric", "init.folder=lotus"),
}


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["train", *words], env={"COLUMNS": "200"})


def setting_paths(values: dict[str, object], prefix: str = "") -> set[str]:
    paths = set()
    for name, value in values.items():
        path = f"{prefix}{name}"
        paths |= setting_paths(value, f"{path}.") if isinstance(value, dict) else {path}
    return paths


@pytest.mark.parametrize("name", CONFIGS.shipped())
def test_a_shipped_config_is_of_its_method_and_validates(name: str) -> None:
    method = METHODS[CONFIGS.values(name, ())["method"]]
    assert CONFIGS.load(method.settings, name, NEEDED.get(name, ())).method == method.name


@pytest.mark.parametrize("name", METHODS)
def test_help_names_every_setting_and_every_config(name: str) -> None:
    method = METHODS[name]
    said = re.sub(r"\s+", " ", run(name, "--help").output)
    paths = setting_paths(CONFIGS.load(method.settings, method.default_config).model_dump())
    absent = {path for path in paths if path not in said}
    assert absent <= {"errors", "init"}  # groups that may be null
    assert method.default_config in said


def test_settings_come_from_the_config_then_from_set_then_are_shown() -> None:
    done = run("betterdepth", "--out=x", "--set", "optimiser.learning_rate=1e-4", "--show")
    assert done.exit_code == 0, done.output
    shown = yaml.safe_load(done.output)
    assert shown["optimiser"]["learning_rate"] == 1e-4
    assert shown["optimiser"]["num_steps"] == 2872
    assert not Path("x").exists()


def test_what_is_shown_is_a_config(tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(run("sharpdepth", "--out=x", "--show").output)
    settings = METHODS["sharpdepth"].settings
    assert CONFIGS.load(settings, str(path)) == CONFIGS.load(settings, "sharpdepth-mini")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--config=lotus",), "no training config named 'lotus'.*betterdepth-mini"),
        (("--config=sharpdepth-mini",), "method: Input should be 'betterdepth'"),
        (("--set", "optimiser.learning_rate"), "--set takes key.path=value"),
        (("--set", "batch_size=2"), r"batch_size: there is no such setting \(docs/training.md"),
    ],
)
def test_what_is_wrong_is_named(words: tuple[str, ...], said: str) -> None:
    done = run("betterdepth", "--out=x", *words)
    assert isinstance(done.exception, ConfigError)
    assert re.search(said, str(done.exception), re.DOTALL)


def test_no_command_of_training_has_many_parameters() -> None:
    for name in METHODS:
        options = set(re.findall(r"--[a-z]+", run(name, "--help").output.split("Examples")[0]))
        assert options <= {"--out", "--config", "--set", "--resume", "--show", "--help"}


@pytest.mark.parametrize(
    ("name", "config", "folders", "command"),
    [
        ("betterdepth", "betterdepth-mini", ["my refiner/model"],
         "--recipe betterdepth-mini --set 'labels.refiner.model.weights.folder=my refiner/model'"),
        ("sharpdepth", "own.yaml", ["out/model"],
         "--recipe sharpdepth --set labels.refiner.model.weights.folder=out/model"),
        ("mini", "mini", ["out/depth", "out/prior", "out/other"],
         "--recipe mini --set labels.coarse.weights.folder=out/depth "
         "--set labels.refiner.prior.weights.folder=out/prior"),
        ("mini", "mini-encoder", ["out/encoder"], None),
    ],
)  # fmt: skip
def test_a_training_ends_with_the_command_that_uses_it(
    name: str, config: str, folders: list[str], command: str | None
) -> None:
    found = next_command(METHODS[name], config, [Path(folder) for folder in folders])
    expected = None if command is None else f"redepth label PHOTOS --out labels/ {command}"
    assert found == expected
    if found is not None:  # it is one that validates
        words = shlex.split(found)
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        assert load_recipe(words[words.index("--recipe") + 1], settings).labels.models()
