"""What `redepth distill` refuses before anything is listed or started."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from redepth.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out=s3://key:secret@bucket/student",), "a password in it would"),
        (("--out=student", "--add=s3://key:secret@bucket/labels"), "a password in it would"),
        (("--out=s3://bucket/student", "--teacher=mini"), "name one with --work"),
        (("--out=student", "--teacher=mini", "--share=0"), "--share takes a share"),
        (("--out=student", "--teacher=mini", "--share=many"), "--share takes a share"),
        (("--out=student", "--teacher=mni"), "did you mean 'mini'?"),
        (("--out=student", "--teacher=mini", "--config=mini"), "method: Input should be"),
        (("--out=student", "--teacher=mini", "--train-set=network.channels=[9]"), "multiples of 8"),
    ],
)
def test_it_says_what_is_wrong(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["distill", str(tmp_path), *words])
    assert isinstance(done.exception, ConfigError), done.output
    assert said in str(done.exception)
    assert "secret" not in str(done.exception)
    assert not list(tmp_path.iterdir())
