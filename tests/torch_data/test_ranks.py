"""Two processes read every label once an epoch, whoever deals them out, or are told what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from redepth.errors import ConfigError
from redepth.torch_data import LabelDataset, LabelMaps, Share
from tests.torch_data.torch_data_samples import write_output

ROOT = Path(__file__).resolve().parents[2]
RUNS = Path(__file__).with_name("rank_runs.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
EVEN, UNEVEN = 40, 41
BATCH_SIZE, RANKS = 2, 2

Cases = dict[str, list[Any]]


@pytest.fixture(scope="module", params=[EVEN, UNEVEN])
def labels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of that many labels; two images more have none."""
    return write_output(str(tmp_path_factory.mktemp("output")), request.param + 2).url


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_output(str(tmp_path_factory.mktemp("output")), UNEVEN + 2).url


def expected(labels: str) -> set[int]:
    """Return the numbers of all labels."""
    maps = LabelMaps(labels, ["refined"])
    return {int(sample["id"][:4]) for sample in maps.__getitems__(range(len(maps)))}


def run(framework: str, labels: str, results: Path, launcher: tuple[str, ...] = TORCHRUN) -> Cases:
    """Run the cases of a framework on two processes; return of each what both ranks saw."""
    done = subprocess.run(
        [sys.executable, *launcher, str(RUNS), framework, labels, str(results)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    ranks = [
        json.loads((results / f"{framework}-{rank}.json").read_text()) for rank in range(RANKS)
    ]
    assert ranks[0].keys() == ranks[1].keys()
    return {case: [rank[case] for rank in ranks] for case in ranks[0]}


def epochs_of(ranks: list[Any]) -> list[Counter[int]]:
    """Count in every epoch how often each label came, on both ranks together."""
    assert not any(isinstance(rank, str) for rank in ranks), ranks[0]
    for ours, theirs in zip(*ranks, strict=True):
        assert len(ours) == len(theirs), "or one rank waits for the other for good"
    return [
        Counter(number for rank in ranks for batch in rank[epoch] for number in batch)
        for epoch in range(len(ranks[0]))
    ]


def require_own_share(ranks: list[Any], labels: str) -> None:
    """Hold epochs to LabelDataset's promise: each once, less an end without whole batches."""
    wanted = expected(labels)
    for counts in epochs_of(ranks):
        assert set(counts.values()) == {1} and counts.keys() <= wanted
        assert len(wanted) - len(counts) == len(wanted) % (BATCH_SIZE * RANKS)


def require_all(ranks: list[Any], labels: str, most_twice: int) -> None:
    """Hold epochs to all labels; samplers and accelerate fill up an uneven end with some again."""
    wanted = expected(labels)
    is_even = len(wanted) % (BATCH_SIZE * RANKS) == 0
    for counts in epochs_of(ranks):
        assert counts.keys() == wanted
        assert counts.total() - len(counts) <= (0 if is_even else most_twice)


def is_refused(ranks: list[Any]) -> bool:
    return all(
        isinstance(words, str) and "share=Share()" in words and "one label in 2" in words
        for words in ranks
    )


@pytest.mark.slow
def test_plain_ddp(labels: str, tmp_path: Path) -> None:
    cases = run("ddp", labels, tmp_path)
    for workers in (0, 2):
        require_own_share(cases[f"stream, {workers} workers"], labels)
    assert cases["stream, 0 workers"] == cases["stream, 2 workers"]
    for rank in range(RANKS):
        second = cases["stream, 0 workers"][rank][1]
        assert cases["stream, 0 workers"][rank][0] != second, "another order in another epoch"
        assert cases["resumed after 4 batches"][rank] == [second[4:]]
        assert cases["spawned worker"][rank] == [second]
    require_all(cases["maps"], labels, most_twice=RANKS)


@pytest.mark.slow
def test_accelerate(labels: str, tmp_path: Path) -> None:
    cases = run("accelerate", labels, tmp_path)
    assert len(cases) == 4 * (2 * 4 + 1)
    for case, ranks in cases.items():
        if case.startswith(("prepared: ", "prepared, of this rank: ")):
            assert is_refused(ranks), case
        elif case.startswith("not prepared: "):
            require_own_share(ranks, labels)
        else:  # each of two workers fills up an end of its own
            require_all(ranks, labels, most_twice=2 * (BATCH_SIZE * RANKS - 1))


@pytest.mark.slow
def test_the_trainer_of_transformers(uneven: str, tmp_path: Path) -> None:
    cases = run("trainer", uneven, tmp_path)
    for case, ranks in cases.items():
        if case.startswith("stream: "):
            assert is_refused(ranks), case
        else:
            require_all(ranks, uneven, most_twice=BATCH_SIZE * RANKS - 1)
    assert len(cases) == 6


def require_lightnings(cases: Cases, labels: str) -> None:
    for workers in (0, 2):
        whole = cases[f"stream, {workers} workers"]
        require_own_share(whole, labels)
        require_all(cases[f"maps, {workers} workers"], labels, most_twice=RANKS)
        resumed = cases[f"stream resumed, {workers} workers"]
        assert resumed == [rank[1:] for rank in whole]


@pytest.mark.slow
def test_lightning(uneven: str, tmp_path: Path) -> None:
    require_lightnings(run("lightning", uneven, tmp_path), uneven)


@pytest.mark.slow
def test_lightning_by_its_own_launcher(uneven: str, tmp_path: Path) -> None:
    """It says the first process's rank only once the group is there."""
    require_lightnings(run("lightning", uneven, tmp_path, ()), uneven)


def test_a_process_that_does_not_know_its_rank_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that Lightning's launcher has started, before it joins the others."""
    dataset = LabelDataset(LabelMaps(write_output(str(tmp_path), 5)), batch_size=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    for begin in (lambda: iter(dataset), lambda: len(dataset), lambda: dataset.set_epoch(1)):
        with pytest.raises(ConfigError, match=r"RANK is not set: .*share=Share\(rank, num_ranks\)"):
            begin()
    monkeypatch.setenv("RANK", "1")
    assert dataset.share == Share(1, 2)


def test_an_epoch_is_resumed_without_reading_its_beginning(tmp_path: Path) -> None:
    read: list[str] = []
    maps = LabelMaps(write_output(str(tmp_path), 10), transform=lambda s: read.append(s["id"]))
    dataset = LabelDataset(maps, batch_size=2)
    assert len(list(dataset)) == len(dataset) == 9
    whole = list(read)
    read.clear()
    dataset.set_epoch(0, skip_batches=3)
    assert len(list(dataset)) == 3
    assert read == whole[6:]
    dataset.set_epoch(1)
    assert len(list(dataset)) == 9, "the next epoch is whole again"


def test_what_several_ranks_leave_out_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    maps = LabelMaps(write_output(str(tmp_path), 10))
    for rank in (0, 1):
        assert len(list(LabelDataset(maps, batch_size=2, share=Share(rank, 2)))) == 4
    assert [record.message for record in caplog.records] == [
        "1 of 9 labels are left out of this epoch: 2 ranks get the same number of whole batches of "
        "2; without shuffling they are the same in every epoch"
    ]
    caplog.clear()
    assert len(list(LabelDataset(maps, batch_size=2))) == 9
    assert not caplog.records
