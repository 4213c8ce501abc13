"""Every command of the page of guarantees names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"`(pytest [^`]+|make [^`]+)`", PAGE)))


def files(command: str) -> list[Path]:
    named = [ROOT / word for word in command.split() if word.startswith("tests/")]
    return [path for one in named for path in (one.glob("test_*.py") if one.is_dir() else [one])]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("pytest")])
def test_a_command_selects_tests(command: str) -> None:
    assert files(command), command
    content = "\n".join(path.read_text(encoding="utf-8") for path in files(command))
    marker = re.search(r" -m (\w+)", command)
    if marker is not None:
        assert f"pytest.mark.{marker[1]}" in content, command
    chosen = re.search(r" -k (?:\"([^\"]+)\"|(\w+))", command)
    if chosen is not None:
        tests = re.findall(r"def (test_\w+)", content)
        for word in (chosen[1] or chosen[2]).split(" or "):
            assert any(word in name for name in tests), f"{word}: {command}"


def test_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {command.split()[1] for command in COMMANDS if command.startswith("make")}
    assert len(targets) > 3
    assert [t for t in sorted(targets) if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []
