"""A disk that is full and an output that may not be written: said clearly, and resumable."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.store.reader import open_labels
from redepth.store.verification import verify_labels

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
NUM_PHOTOS = 24


def can_mount() -> bool:
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "x",
        "/mnt",
    ]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_mounts = pytest.mark.skipif(not can_mount(), reason="needs Linux user namespaces to mount")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(NUM_PHOTOS):
        pixels = np.random.default_rng(i).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04d}.png")
    return folder


def run_in_namespace(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount things nobody else sees."""
    home = tmp_path / "prefect"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "bash",
            "-euc",
            textwrap.dedent(script),
        ],
        env=os.environ | {"PREFECT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def label(photographs: Path, out: Path, shards: int) -> str:
    return (
        f"{REDEPTH} label {photographs} --out {out} --recipe=mini-coarse --actors=1 "
        f"--set=labels.coarse.size_px=224 --set=labels.coarse.weights.seed=0 "
        f"--set=run.sharding.images_per_shard={shards}"
    )


@needs_mounts
def test_a_full_disk_ends_the_run_with_what_to_do_and_the_next_one_goes_on(
    photographs: Path, tmp_path: Path
) -> None:
    """The disk holds some of the shards; afterwards it is made larger."""
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    command = label(photographs, small / "labels", 4)
    done = run_in_namespace(
        f"""
        mount -t tmpfs -o size=2500k disk {small}
        code=0; {command} >{tmp_path}/first 2>&1 || code=$?
        echo "first run: $code"
        cp -r {small}/labels {tmp_path}/after-first
        mount -o remount,size=100m {small}
        {command} >{tmp_path}/second 2>&1
        cp -r {small}/labels {kept}
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "first").read_text()
    said = " ".join((tmp_path / "first").read_text().split())
    assert "first run: 2" in done.stdout, said
    assert "the disk is full" in said and "free some space, then run again" in said
    assert "Traceback" not in said
    after_first = verify_labels(str(tmp_path / "after-first"))
    assert after_first.problems == () and 0 < after_first.num_images < NUM_PHOTOS
    assert not list((tmp_path / "after-first").rglob("*.tmp"))
    assert verify_labels(str(kept)).problems == ()
    assert len(open_labels(str(kept))) == NUM_PHOTOS


@needs_mounts
def test_an_output_that_is_read_only_is_refused_before_anything_is_spent(
    photographs: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = run_in_namespace(
        f"""
        mount -t tmpfs -o ro disk {disk}
        {label(photographs, disk / "labels", 4)}
        """,
        tmp_path,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 2, said
    assert "access is refused" in said and "choose another folder" in said
    assert "Traceback" not in said
