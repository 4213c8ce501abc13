"""The example learns: with two workers, from a folder and from a real S3 server."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.torch_data.torch_data_samples import write_output

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


READ_THEN_FORK = """
import sys
from torch.utils.data import DataLoader
from redepth.torch_data import LabelDataset, LabelMaps
maps = LabelMaps(sys.argv[1], images="uint8")
first = maps[0]["refined"]
dataset = LabelDataset(maps, batch_size=1)
assert len(list(DataLoader(dataset, 1, num_workers=2))) == len(maps)
assert (maps[0]["refined"] == first).all()
"""


@pytest.mark.s3
def test_workers_leave_the_connections_of_their_parent_alone(
    new_bucket: Callable[[], str],
) -> None:
    url = write_output(f"s3://{new_bucket()}/labels", NUM_IMAGES).url
    # A process of its own: pytest would catch what asyncio complains of.
    command = [sys.executable, "-c", READ_THEN_FORK, url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
