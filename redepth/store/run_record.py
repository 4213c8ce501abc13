"""What a run measured of itself, beside its report: `reports/<run>/run.json`.

Read to say how fast the last run was. It is no part of the labels and may be removed.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import TypeAdapter, ValidationError

from redepth.costing.run_speed import RunSpeed
from redepth.store import layout
from redepth.store.objects import Objects

FILE = "run.json"
_MAX_BYTES = 2**16
_NUM_LOOKED_AT = 3  # a run that is going on, or was killed, has left none yet
_SPEED = TypeAdapter(RunSpeed)


def put_speed(objects: Objects, manifest: str, speed: RunSpeed) -> None:
    """Write down how fast the run of a manifest was."""
    objects.put(_name(PurePosixPath(manifest).stem), _SPEED.dump_json(speed, indent=1))


def last_speed(objects: Objects) -> RunSpeed | None:
    """Return how fast the last run was that has written it down; None if none of late has."""
    for run in sorted(objects.folders(layout.REPORTS), reverse=True)[:_NUM_LOOKED_AT]:
        try:
            return _SPEED.validate_json(objects.read(_name(run), _MAX_BYTES))
        except (FileNotFoundError, ValidationError):
            continue
    return None


def _name(run: str) -> str:
    return f"{layout.REPORTS}/{PurePosixPath(run).name}/{FILE}"
