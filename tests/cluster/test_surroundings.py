"""A run is not started where it would be waited for in vain."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from redepth.cluster.readiness import require_surroundings
from redepth.errors import ConfigError


def test_where_all_is_there_nothing_is_said() -> None:
    require_surroundings()


def test_a_working_directory_that_was_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match=r"working directory .* was removed; change to one"):
        require_surroundings()


def test_a_temporary_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"none .*set TMPDIR"):
        require_surroundings()


def test_a_temporary_folder_that_is_full_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        require_surroundings()
