"""YAML and lists that pages show are read by the code that reads a user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from redepth.config import load_deployment, load_recipe
from redepth.images.collection import list_images
from tests.docs.markdown_pages import PAGES, ROOT, blocks

STUDENT = ROOT / "redepth" / "models" / "mini" / "distilled"


def test_the_recipe_with_a_schedule_is_one(tmp_path: Path) -> None:
    (text,) = blocks(PAGES["docs/operations.md"], "yaml")
    path = tmp_path / "nightly.yaml"
    path.write_text(text, encoding="utf-8")
    deployment = load_deployment(str(path))
    assert load_recipe(str(path)).name == "nightly"
    assert (deployment.pool, deployment.cron) == ("gpu", "0 2 * * *")


def test_the_weights_of_a_recipe_are_named_so(tmp_path: Path) -> None:
    (text,) = blocks(PAGES["docs/weights.md"], "yaml")
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\n{text}", encoding="utf-8")
    weights = load_recipe(str(path)).labels.coarse.weights
    assert weights is not None
    assert weights.folder == yaml.safe_load(text)["labels"]["coarse"]["weights"]["folder"]


def test_the_list_is_read(tmp_path: Path) -> None:
    (text,) = blocks(PAGES["docs/labelling.md"], "csv")
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    images = list(list_images(str(path)))
    assert [image.id for image in images] == ["kitchen-1", "attic-1"]
    assert [image.caption for image in images] == ["a kettle on a stove", None]


def test_the_student_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("student/training/round-1")
    folder.mkdir(parents=True)
    (folder / "model").symlink_to(STUDENT)
    (snippet,) = blocks(PAGES["docs/distillation.md"], "python")
    names: dict[str, Any] = {}
    exec(compile(snippet, "docs/distillation.md", "exec"), names)
    assert callable(names["student"].pipeline)
