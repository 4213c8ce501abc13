"""What a Mac, a sync tool or a file browser leaves among the fragments is ignored, and said."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars
import pytest
from typer.testing import CliRunner

from flows.cli import app
from redepth.report.figures import read_figures
from redepth.store import layout
from redepth.store.catalogue import committed_images, fragment_names, ignored_names
from redepth.store.dataset import begin
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels, summarise
from redepth.store.verification import count_parts, verify_labels
from tests.store.store_samples import CARD, commit_all, images, recipe

NUM = 6
# With {} where the name of a fragment stands.
COPIES = (
    "{} 2.parquet",
    "{} (1).parquet",
    "{} (conflicted copy 2026-01-02).parquet",
    "{} (host's conflicted copy).parquet",
    "{} - Copy.parquet",
    "Copy of {}.parquet",
    "{}-DESKTOP.parquet",
    "{}_conflict.parquet",
    "{}.conflict1.parquet",
    "{}.sync-conflict-20260102-030405-ABCDEFG.parquet",
    "{}.parquet.parquet",
    "kopie.parquet",
)
JUNK = ("._{}.parquet", ".DS_Store", "Thumbs.db", "desktop.ini", ".sb-1a2b-{}.parquet", "{}.txt")


@pytest.fixture
def out(tmp_path: Path) -> str:
    """Return an output with every such name beside one of its fragments."""
    out = str(tmp_path / "labels")
    begin(out, recipe(), [CARD])
    commit_all(out, images(NUM), recipe())
    (tmp_path / "labels" / "labels" / "@eaDir").mkdir()
    name = layout.shard_of(fragment_names(open_objects(out))[0])
    content = (tmp_path / "labels" / "labels" / f"{name}.parquet").read_bytes()
    for copy in COPIES:
        (tmp_path / "labels" / "labels" / copy.format(name)).write_bytes(content)
    for junk in JUNK:
        (tmp_path / "labels" / "labels" / junk.format(name)).write_bytes(b"\0\x05\x16\x07")
    return out


def test_every_reader_ignores_them(out: str) -> None:
    objects = open_objects(out)
    found = verify_labels(out)
    labels = open_labels(out)
    assert (found.num_images, found.num_problems, count_parts(out)) == (NUM, 0, 2)
    assert summarise(out).num_done == len(labels) == len(labels.with_maps()) == NUM
    assert len(labels.table()) == sum(labels.count_outcomes().values()) == NUM
    assert len(committed_images(objects).keys_n2) == NUM
    assert sum(read_figures(out).outcomes.values()) == NUM
    assert plan_labels(images(NUM), out, recipe()).num_pending == 0


def test_they_are_named(out: str) -> None:
    names = ignored_names(open_objects(out))
    assert len(names) == len(COPIES) + len(JUNK) + 1
    assert "@eaDir" in names and "Thumbs.db" in names
    assert list(verify_labels(out).ignored) == names
    assert summarise(out).num_ignored == len(names)
    runner = CliRunner()
    status = runner.invoke(app, ["status", out])
    assert f"{len(names)} names in labels/ that no fragment has" in status.output
    verified = runner.invoke(app, ["verify", out])
    assert "labels/Thumbs.db: no fragment has such a name" in verified.output
    assert verified.exit_code == 0, "the labels themselves are sound"


def test_a_sound_output_says_nothing_of_it(tmp_path: Path) -> None:
    out = str(tmp_path)
    begin(out, recipe(), [CARD])
    commit_all(out, images(NUM), recipe())
    (tmp_path / "labels" / f".0123456789abcdef.parquet.{'0' * 32}.tmp").touch()
    assert ignored_names(open_objects(out)) == [], "a killed writer's file is redepth's own"
    assert "no fragment" not in CliRunner().invoke(app, ["status", out]).output


def test_other_programs_find_the_fragments_alone(out: str) -> None:
    """By the glob that redepth prints: 16 characters and the suffix."""
    glob = f"{out}/{layout.FRAGMENT_GLOB}"
    assert duckdb.sql(f"SELECT count(*) FROM '{glob}'").fetchall() == [(NUM,)]
    assert polars.scan_parquet(glob).select(polars.len()).collect().item() == NUM


@pytest.mark.parametrize(
    ("name", "shard"),
    [
        ("labels/0123456789abcdef.parquet", "0123456789abcdef"),
        ("0123456789abcdef.parquet", "0123456789abcdef"),
        ("0123456789ABCDEF.parquet", None),
        ("0123456789abcde.parquet", None),
        ("0123456789abcdef.parquet\n", None),
        ("._0123456789abcdef.parquet", None),
        ("０123456789abcdef.parquet", None),  # noqa: RUF001  # a full-width digit
    ],
)
def test_a_fragments_name_is_a_digest(name: str, shard: str | None) -> None:
    assert layout.shard_of(name) == shard
