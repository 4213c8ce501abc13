"""What `import redepth` gives, and what it does not bring in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import redepth
from redepth.store import reader


def test_open_labels_is_the_readers() -> None:
    assert redepth.open_labels is reader.open_labels


def test_other_names_are_missing_as_usual() -> None:
    missing = "open_label"
    with pytest.raises(AttributeError, match=f"'redepth' has no attribute '{missing}'"):
        getattr(redepth, missing)


def test_importing_the_package_brings_in_no_library() -> None:
    code = "import redepth, sys; print(*{'pyarrow', 'numpy', 'zarr', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_is_a_command_too() -> None:
    command = [sys.executable, "-m", "redepth", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"redepth {redepth.__version__}\n"
