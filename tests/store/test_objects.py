"""Objects are written whole or not at all, and storage errors say what to do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import fsspec.config
import pytest

from redepth.errors import ConfigError
from redepth.store.objects import open_objects


def test_objects_are_put_listed_and_read(out: str, tmp_path: Path) -> None:
    objects = open_objects(out)
    assert objects.list("f", ".x") == [] and not objects.exists("f/a.x")
    objects.put("f/b.x", b"1")
    objects.put("f/a.x", b"old")
    objects.put("f/a.x", b"2")
    objects.put("f/other.y", b"3")
    (tmp_path / "large").write_bytes(b"4" * 1000)
    objects.put_file("f/c.x", tmp_path / "large")
    open_objects(out).put("f/d.x", b"5")
    # Another instance, which may hold a listing of its own.
    assert open_objects(out).list("f", ".x") == ["f/a.x", "f/b.x", "f/c.x", "f/d.x"]
    assert dict(objects.read_many(["f/b.x", "f/a.x"], 9)) == {"f/b.x": b"1", "f/a.x": b"2"}
    assert objects.read("f/c.x") == b"4" * 1000 and objects.exists("f/a.x")
    objects.delete("f/a.x")
    assert objects.list("f", ".x") == ["f/b.x", "f/c.x", "f/d.x"]
    with pytest.raises(FileNotFoundError):
        objects.read("f/a.x")


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_a_local_put_that_fails_leaves_the_old_object(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = open_objects(str(tmp_path))
    objects.put("a", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(failing, full)
    with pytest.raises(ConfigError, match="disk is full"):
        objects.put("a", b"new")
    assert objects.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_writer_left_beside_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / ".a.x.123.tmp").touch()
    (tmp_path / "f" / ".a.x").touch()
    assert open_objects(str(tmp_path)).list("f", ".x") == []


def test_others_may_read_what_was_put(tmp_path: Path) -> None:
    open_objects(str(tmp_path)).put("a", b"")
    before = os.umask(0)
    os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~before


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "s3x:///y"])
def test_a_url_nobody_knows_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot open"):
        open_objects(url)


def test_a_file_where_the_output_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="a file is where a folder is needed"):
        open_objects(str(tmp_path / "file")).put("a/b", b"")


@pytest.mark.s3
@pytest.mark.parametrize("method", ["put", "read", "exists", "list"])
def test_a_real_server_that_refuses_says_the_fix(
    s3_bucket: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"put": ("a", b"1"), "read": ("a",), "exists": ("a",), "list": ("f", "")}[method]
    with pytest.raises(ConfigError, match="create the bucket"):
        getattr(open_objects("s3://redepth-no-such-bucket/x"), method)(*arguments)
    wrong = {"key": os.environ["AWS_ACCESS_KEY_ID"], "secret": "wrong"}
    monkeypatch.setitem(fsspec.config.conf, "s3", wrong)
    with pytest.raises(ConfigError, match=r"access is refused|SignatureDoesNotMatch"):
        getattr(open_objects(f"s3://{s3_bucket}/x"), method)(*arguments)
