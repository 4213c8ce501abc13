"""`redepth report` as it is typed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from flows import cli
from redepth.store.manifest import planned_at
from tests.report import report_samples


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_samples.write_output(tmp_path_factory.mktemp("command"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["redepth", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_page_is_written_where_it_was_asked_for(
    labels: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "new" / "page.html"
    assert run(monkeypatch, "report", labels, "--out", page) == 0
    assert "7 images, 6 pictures" in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "no price stated" in html


def test_a_price_is_that_of_a_recipe_and_of_the_settings(
    labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    price = "run.cost.price_per_actor_hour=3600"
    code = run(monkeypatch, "report", labels, "--out", page, "--recipe", "mini", "--set", price)
    assert code == 0
    assert "12.00 USD" in page.read_text(encoding="utf-8")  # 6 labels of 2 s


def test_without_labels_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "report", tmp_path) == 2
    assert "no labels at" in capsys.readouterr().err


def test_two_sets_have_a_page(labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "both.html"
    assert run(monkeypatch, "compare", labels, labels, "--html", page) == 0
    assert "differs most" in page.read_text(encoding="utf-8")


def test_what_was_overwritten_is_said_and_never_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = report_samples.write_output(tmp_path, 4)
    Image.new("RGB", (120, 80), "red").save(tmp_path / "photographs" / "02.png")
    page, png = tmp_path / "page.html", tmp_path / "label.png"
    assert run(monkeypatch, "report", labels, "--out", page) == 0
    assert "1 changed since it was labelled" in capsys.readouterr().out
    assert run(monkeypatch, "show", labels, "02.png", "--png", png) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "02.png is not the file that was labelled" in said
    with Image.open(png) as drawn:
        colours = {colour for _, colour in drawn.convert("RGB").getcolors(2**24) or ()}
    assert (255, 0, 0) not in colours
    assert run(monkeypatch, "show", labels, "03.png", "--png", png) == 0
    assert "not shown" not in capsys.readouterr().out


def test_a_manifest_tells_when_it_was_planned() -> None:
    url = "s3://bucket/labels/manifest/00000007-20260102T030405000006Z-abcdef012345.parquet"
    assert planned_at(url) == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
