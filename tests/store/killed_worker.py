"""A run's whole work on the store in a process of its own, killed at a given operation on files."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from redepth.store.dataset import begin
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef
from tests.store.store_samples import (
    CARD,
    images,
    label,
    label_or_keep,
    recipe,
    shard_plans,
    touched,
)

NUM_IMAGES, PER_SHARD = 6, 3


def run(out: str) -> None:
    """Plan, commit every shard, write the report: what a run does to its output, in its order."""
    settings = recipe(PER_SHARD)
    plan = plan_labels(images(NUM_IMAGES), out, settings)
    begin(out, settings, [CARD])
    for shard in shard_plans(plan):
        write_shard(out, shard, map(label, shard.images), settings.labels.storage)
    open_objects(out).put("reports/run/index.html", b"<!doctype html>")


def run_once_labelled(out: str) -> None:
    """Label everything: what there is before somebody touches the photographs."""
    work(out, images(NUM_IMAGES), {})


def run_touched(out: str) -> None:
    """Do a run after all photographs were touched and one was overwritten, at its size."""
    refs = touched(images(NUM_IMAGES))
    work(out, refs, {refs[1].id: "overwritten"})


def work(out: str, refs: list[ImageRef], contents: Mapping[str, str]) -> None:
    """Do a run's whole work on the store."""
    settings = recipe(PER_SHARD)
    plan = plan_labels(refs, out, settings)
    begin(out, settings, [CARD])
    for shard in shard_plans(plan):
        write_shard(out, shard, label_or_keep(out, shard, contents), settings.labels.storage)


def run_touched_killed_at(out: str, operation: int) -> None:
    """Die as `run_killed_at`, in the run after the photographs were touched."""
    kill_at(out, operation)
    run_touched(out)


def run_killed_at(out: str, operation: int) -> None:
    """Die by SIGKILL just before the given operation below `out` (opening to write, renaming)."""
    kill_at(out, operation)
    run(out)


def kill_at(out: str, operation: int) -> None:
    """Have this process end by SIGKILL just before the given operation on a file below `out`."""
    left = [operation]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if is_change(event, arguments, out):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    sys.addaudithook(hook)


def run_killed_writing(out: str, max_bytes: int) -> None:
    """Die in the middle of the first file of `out` that gets longer, by the kernel's hand."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run(out)


def is_change(event: str, arguments: tuple[object, ...], out: str) -> bool:
    if event not in ("open", "os.rename", "os.mkdir", "os.remove"):
        return False
    path = arguments[0]
    if not isinstance(path, str | Path) or not str(path).startswith(out):
        return False
    # Opening: (path, mode, flags). Reading changes nothing.
    return event != "open" or bool(int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
