"""The example learns: with two workers, from a folder and from a real S3 server."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from loading_samples import write_output

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "train_on_labels.py"
NUM_IMAGES = 10


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_on_labels", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_learns(url: str) -> list[float]:
    losses: list[float] = example().train(url, num_epochs=10)
    assert losses[-1] < losses[0] / 2
    return losses


def test_it_learns_from_a_folder_and_repeatably(tmp_path: Path) -> None:
    url = write_output(str(tmp_path), NUM_IMAGES).url
    assert assert_learns(url) == assert_learns(url)


@pytest.mark.s3
def test_it_learns_from_s3(new_bucket: Callable[[], str]) -> None:
    assert_learns(write_output(f"s3://{new_bucket()}/collection", NUM_IMAGES).url)
