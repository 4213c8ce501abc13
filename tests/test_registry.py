"""Names and parts: redepth's own, and those of packages that are installed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from redepth.coarse import coarse_models
from redepth.config import load_recipe, shipped_recipes
from redepth.errors import ConfigError
from redepth.refiners import refiners
from redepth.registry import Registry

GROUP = "redepth.tests"


@dataclass(frozen=True)
class Part:
    name: str


@pytest.fixture
def registry() -> Registry[Part]:
    return Registry("thing", GROUP, Part, (Part("own"),))


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, points: str, code: str, group: str = GROUP
) -> None:
    """Install a package as pip would: a module, and metadata beside it."""
    info = folder / "others-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
    (folder / "others_parts.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "others_parts", raising=False)


def test_a_name_that_nobody_has_names_those_that_are_known(registry: Registry[Part]) -> None:
    assert registry["own"] == Part("own")
    with pytest.raises(ValueError, match=r"no thing is called 'absent'; known: own\. .*install"):
        registry["absent"]


def test_a_part_of_another_package_is_loaded_when_it_is_asked_for(
    registry: Registry[Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"from {__name__} import Part\nTHING = Part('theirs')\n"
    install(tmp_path, monkeypatch, "theirs = others_parts:THING", code)
    assert registry.names() == ("own", "theirs")
    assert "theirs" in registry
    assert "others_parts" not in sys.modules
    assert registry["theirs"].name == "theirs"
    assert registry.package("theirs") == "others"
    assert registry.package("own") is None


def test_another_package_cannot_take_a_name_of_redepths_own(
    registry: Registry[Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "own = others_parts:THING", "raise RuntimeError('imported')")
    assert registry["own"] == Part("own")
    assert registry.names() == ("own",)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('no driver')", "package others cannot be imported: .*no driver"),
        ("THING = 3", "is 3, expected a Part of that name"),
        (f"from {__name__} import Part\nTHING = Part('other')", "expected a Part of that"),
    ],
)
def test_what_does_not_keep_its_promise_is_named(
    registry: Registry[Part],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    words: str,
) -> None:
    install(tmp_path, monkeypatch, "theirs = others_parts:THING", code)
    with pytest.raises(ValueError, match=words):
        registry["theirs"]


def test_a_recipe_imports_nothing_by_a_module_path(tmp_path: Path) -> None:
    """A recipe from a stranger names parts, never modules."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    with pytest.raises(ConfigError, match="no coarse model is called 'evil:PART'"):
        load_recipe("mini", ["labels.coarse.preset=evil:PART"])
    with pytest.raises(ConfigError, match="no refiner is called 'evil:PART'"):
        load_recipe("mini-coarse", ["labels.refiner.method=evil:PART"])


def test_every_own_part_says_under_which_licence_its_weights_come() -> None:
    for name, model in coarse_models.own.items():
        weights = model.weights
        assert weights is not None, name
        assert weights.licence.name, name


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_model_of_a_recipe_has_its_licence_line(name: str) -> None:
    """`sharpdepth` once left out its refiner's: a list of methods had forgotten one."""
    recipe = load_recipe(name)
    published = [m.name for m in recipe.labels.models() if m.published is not None]
    lines = recipe.licence_lines()
    assert [line.partition(":")[0] for line in lines] == published


def test_the_sharpdepth_recipe_names_the_licence_of_its_refiner() -> None:
    assert "lotus-g: Apache-2.0" in load_recipe("sharpdepth").licence_lines()


def test_weights_of_ones_own_stay_with_the_method(tmp_path: Path) -> None:
    """They once took the preset of another method along."""
    override = f"labels.refiner.model.weights.folder={tmp_path}"
    (_, refiner) = load_recipe("sharpdepth", [override]).labels.models()
    assert (refiner.name, refiner.own.folder) == ("lotus-g", str(tmp_path))


@pytest.mark.parametrize(
    ("recipe", "preset"), [("sharpdepth", "betterdepth-mini"), ("betterdepth", "sharpdepth-mini")]
)
def test_a_model_of_another_method_does_not_validate(recipe: str, preset: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown refiner\.model\.preset '{preset}'"):
        load_recipe(recipe, [f"labels.refiner.model.preset={preset}"])


def test_every_refiner_refuses_or_takes_every_coarse_model() -> None:
    alone = [part for part in refiners.own.values() if part.routing is None]
    assert len(alone) == len(refiners.own) - 1, "a cascade takes what its two refiners take"
    for part in alone:
        settings = part.settings.model_validate({})
        for model in coarse_models.own.values():
            try:
                part.check(settings, model)
            except ValueError as error:
                assert model.name in str(error)
