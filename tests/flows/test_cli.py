"""The command line's own part: exit codes, words, and what needs no engine."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flows import cli
from flows.label_images import cut_task_runs
from flows.recipe_files import recipe_text
from redepth.store.planning import Plan
from redepth.types import Outcome


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and all it printed."""
    monkeypatch.setattr("sys.argv", ["redepth", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (32, 24), (10, 20, 30)).save(folder / f"{name}.png")
    return folder


class TestWords:
    @pytest.fixture(autouse=True)
    def _redepth(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.redepth = partial(run, capsys, monkeypatch)

    def test_plan_writes_nothing(self, photographs: Path, tmp_path: Path) -> None:
        out = tmp_path / "labels"
        code, said = self.redepth("plan", photographs, "--out", out, "--recipe", "mini-coarse")
        assert code == 0
        assert "2 images" in said
        assert "Nothing was written" in said
        assert not out.exists()

    def test_dry_run_is_a_plan(self, photographs: Path, tmp_path: Path) -> None:
        out = tmp_path / "labels"
        code, said = self.redepth(
            "label", photographs, "--out", out, "--recipe", "mini-coarse", "--dry-run", "--limit", 1
        )
        assert (code, "1 image" in said, out.exists()) == (0, True, False)

    def test_the_command_of_a_plan_does_what_was_planned(
        self, photographs: Path, tmp_path: Path
    ) -> None:
        own, out = tmp_path / "my recipe.yaml", tmp_path / "the labels"
        own.write_text(recipe_text("mini-coarse"))
        options = (
            "--out", out, "--recipe", own, "--set", "labels.decoding.background=[0, 0, 0]",
            "--limit", 1, "--retry", "failed",
        )  # fmt: skip
        code, said = self.redepth("label", photographs, *options, "--actors", 2, "--dry-run")
        (line,) = [line for line in said.splitlines() if "To run it: " in line]
        words = shlex.split(line.partition("To run it: ")[2])
        assert code == 0
        assert words == [
            "redepth", "label", str(photographs), "--out", str(out), "--recipe", str(own),
            "--set", "labels.decoding.background=[0, 0, 0]", "--set", "run.actors.num_actors=2",
            "--limit", "1", "--retry", "failed",
        ]  # fmt: skip
        code, again = self.redepth(*words[1:], "--dry-run")
        assert (code, line in again) == (0, True)

    def test_plan_says_how_long_it_takes_on_more_of_them(self, photographs: Path) -> None:
        plan = ("plan", photographs, "--out", "x", "--set", "run.cost.seconds_per_image=3600")
        half = ("--set", "run.actors.num_gpus=0.5")
        _, said = self.redepth(*plan, "--recipe", "coarse", "--set", "run.actors.num_gpus=0")
        assert "2.0 h on 1 actor, 15 min on 8 actors, 1.9 min on 64 actors" in said
        _, said = self.redepth(*plan, "--recipe", "coarse", *half)
        assert "1.0 h on 1 GPU, 7.5 min on 8 GPUs" in said

    def test_plan_names_licences_and_price(self, photographs: Path, tmp_path: Path) -> None:
        code, said = self.redepth(
            "plan", photographs, "--out", tmp_path / "x", "--recipe", "redepth-anything",
            "--set", "labels.coarse.preset=depth-anything-v2-large",
            "--set", "run.cost.price_per_actor_hour=3.6",
        )  # fmt: skip
        assert code == 0
        assert "depth-anything-v2-large: CC-BY-NC-4.0 (non-commercial)" in said
        assert "0.57 USD" in said  # 2 images x 284 s x 3.6 an hour

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("label", "/no/such/folder", "--out", "out"), "no such folder"),
            (("label", "{photographs}", "--out", "out", "--recipe", "none"), "no recipe named"),
            (("status", "/no/such/labels"), "no labels at /no/such/labels"),
            (("show", "/no/such/labels", "x"), "no labels at"),
            (("plan", "{photographs}", "--out", "gopher://x", "--recipe", "mini"), "gopher"),
            (("plan", "{photographs}", "--out", "x", "--recipe", "mni"), "did you mean 'mini'?"),
            (
                ("plan", "{photographs}/a.png", "{photographs}/b.png", "--out", "x"),
                "Quote it, so that redepth reads it: redepth plan '{photographs}/*.png'",
            ),
            (("label", "{photographs}", "typo", "--out", "x"), "does not know typo"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_line_with_code_2(
        self, photographs: Path, arguments: tuple[str, ...], words: str
    ) -> None:
        filled = [argument.format(photographs=photographs) for argument in arguments]
        code, said = self.redepth(*filled)
        assert code == 2
        assert said.startswith("error: ")
        assert words.format(photographs=photographs) in said
        assert said.strip().count("\n") == 0

    def test_recipes_mark_the_default(self) -> None:
        code, said = self.redepth("recipes")
        assert code == 0
        assert "redepth-anything-fast (default)" in said

    def test_a_command_line_starts_without_what_it_does_not_need(self) -> None:
        code = "import sys, flows.cli; print(*sys.modules)"
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        assert not {"torch", "ray", "prefect", "pandas", "zarr", "scipy", "matplotlib"} & {*loaded}

    def test_version(self) -> None:
        code, said = self.redepth("--version")
        assert (code, said.startswith("redepth ")) == (0, True)


@given(num_shards=st.integers(1, 5000), limit=st.integers(1, 1000))
def test_task_runs_are_a_partition_of_the_shards(num_shards: int, limit: int) -> None:
    plan = Plan("m.parquet", 0, 0, 0, num_shards, 0, dict.fromkeys(Outcome, 0))
    runs = cut_task_runs(plan, limit)
    assert len(runs) == min(num_shards, limit)
    covered = [number for run in runs for number in range(run.first, run.stop)]
    assert covered == list(range(num_shards))
    lengths = [run.stop - run.first for run in runs]
    assert max(lengths) - min(lengths) <= 1
