"""The house rules that no linter knows: light imports, contracts, recipes, pins, paths."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from redepth.config import load_recipe, shipped_recipes
from redepth.types import LabelRow

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# What the driver imports must start at once and run where no GPU software is. Only actors may be
# heavy: the networks of coarse models and refiners, geometry, and the pipeline they run.
MODELS = ("torch", "transformers", "diffusers")
DRIVER = (*MODELS, "matplotlib", "scipy")  # it drives Ray, and does nothing itself
HEAVY = (*DRIVER, "ray")
LIGHT_ROOMS = {
    "flows": DRIVER,
    "tasks": DRIVER,
    "redepth.types": HEAVY,
    "redepth.errors": HEAVY,
    "redepth.registry": HEAVY,
    "redepth.settings": HEAVY,
    "redepth.config": HEAVY,
    "redepth.images": HEAVY,
    "redepth.store": HEAVY,
    "redepth.exports": HEAVY,
    "redepth.report": HEAVY,
    "redepth.labelling.preparing": HEAVY,  # what a decoder runs
    "redepth.cluster": MODELS,
}

# Prints {module: [heavy modules its import brought in]}, importing a room's modules one by one so
# that the first to blame is the one named.
PROBE = """
import importlib, json, pkgutil, sys
room, heavy = sys.argv[1], set(sys.argv[2].split(","))
top = importlib.import_module(room)
names = [m.name for m in pkgutil.walk_packages(getattr(top, "__path__", []), room + ".")]
blamed, seen = {}, set()
for name in [room, *sorted(names)]:
    importlib.import_module(name)
    brought = heavy & sys.modules.keys() - seen
    if brought:
        blamed[name] = sorted(brought)
    seen |= brought
print(json.dumps(blamed))
"""


@pytest.mark.parametrize(("room", "heavy"), LIGHT_ROOMS.items(), ids=LIGHT_ROOMS)
def test_importing_a_light_room_brings_in_nothing_heavy(room: str, heavy: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", PROBE, room, ",".join(heavy)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_validates_and_says_when_to_use_it(name: str) -> None:
    text = (ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    assert load_recipe(name).name == name
    assert re.match(r"# \S+( \S+){4,}[.:]\n", text), "the first line must be a comment, a sentence"


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_states_a_setting_once(name: str) -> None:
    """YAML keeps the last of two equal keys without a word."""
    node = yaml.compose((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert list(_repeated_keys(node)) == []


def test_every_module_has_a_docstring() -> None:
    bare = [path for path in _files("*.py") if not ast.get_docstring(_parse(path))]
    assert _relative(bare) == []


def test_every_module_is_type_checked() -> None:
    checked = PYPROJECT["tool"]["mypy"]["files"]
    modules = [path.relative_to(ROOT) for path in _files("*.py")]
    assert [str(path) for path in modules if path.parts[0] not in checked] == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    home = re.compile(rb"(?<![\w.])/(?:home|Users|root|work)/[\w.]")
    named = [path for path in _files("*") if home.search(path.read_bytes())]
    assert _relative(named) == []


def test_constraints_pin_every_direct_dependency() -> None:
    assert _direct_dependencies().keys() - _pins().keys() == set()


def test_every_pin_lies_within_its_declared_range() -> None:
    pins = _pins()
    outside = [r for name, r in _direct_dependencies().items() if pins[name] not in r.specifier]
    assert [str(requirement) for requirement in outside] == []


def test_what_is_installed_is_what_is_pinned() -> None:
    """Tests that pass with other versions say nothing of these; "+cpu" is the same version."""
    installed = {name: importlib.metadata.version(name).split("+")[0] for name in _pins()}
    assert installed == _pins()


def test_every_column_of_the_catalogue_is_explained() -> None:
    text = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    assert {field.name for field in dataclasses.fields(LabelRow)} - explained == set()


def _files(pattern: str) -> list[Path]:
    """List the project's own files, those that git does not ignore; git itself is not needed."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    names = [".git", *(line.strip("/") for line in ignored)]
    tops = [top for top in ROOT.iterdir() if not any(fnmatch(top.name, name) for name in names)]
    found = [path for top in tops for path in (top, *top.rglob("*")) if path.match(pattern)]
    return [p for p in sorted(found) if p.is_file() and "__pycache__" not in p.parts]


def _relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _repeated_keys(node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from {key for key in keys if keys.count(key) > 1}
        for _, value in node.value:
            yield from _repeated_keys(value)


def _direct_dependencies() -> dict[str, Requirement]:
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(text) for group in groups for text in group]
    return {canonicalize_name(r.name): r for r in requirements}


def _pins() -> dict[str, str]:
    """Read constraints.txt as canonical name -> exact version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}
