"""What the last runs on this account measured, so that the next plan of a recipe can use it.

A file of the user, `speeds.json` in `$REDEPTH_CACHE` (else `~/.cache/redepth`): an output's own
catalogue knows its own speed alone, and an estimate is wanted before there is one. Of each recipe
(by its digest) and device it says the seconds an image and when; neither places nor names. It may
be removed at any time; where it cannot be written nothing is lost but the estimate.
"""

from __future__ import annotations

import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from redepth.costing.devices import card_of
from redepth.costing.run_speed import MIN_IMAGES, RunSpeed

logger = logging.getLogger(__name__)

FILE = "speeds.json"
MAX_RUNS = 200
_MAX_BYTES = 2**20


class MeasuredRun(BaseModel):
    """One run of a recipe on a kind of device.

    Attributes:
        recipe_digest: of `LabelSettings`.
        device: as its rows say it.
        seconds_per_image: of an actor (`redepth.costing.stages`).
        num_images: that this is the mean of.
        ended: UTC, ISO 8601, to the second.
    """

    model_config = ConfigDict(frozen=True)

    recipe_digest: str
    device: str
    seconds_per_image: float = Field(gt=0)
    num_images: int = Field(ge=1)
    ended: str


_RUNS = TypeAdapter(tuple[MeasuredRun, ...])


def last_run(recipe_digest: str, device: str | None = None) -> MeasuredRun | None:
    """Return the last run of a recipe; None if none is known.

    Args:
        device: a row's, or a card by its name; None for any.
    """
    card = None if device is None else card_of(device)
    for run in reversed(_read()):
        if run.recipe_digest == recipe_digest and card in (None, card_of(run.device)):
            return run
    return None


def remember_speed(recipe_digest: str, speed: RunSpeed) -> None:
    """Write down how fast a run was, if it labelled enough images on one device to tell."""
    seconds = speed.stages.of_actor(speed.decoders)
    if speed.device is None or not seconds or speed.stages.num_timed < MIN_IMAGES:
        return
    remember_run(recipe_digest, speed.device, seconds, speed.stages.num_timed)


def remember_run(recipe_digest: str, device: str, seconds_per_image: float, number: int) -> None:
    """Write down what a run measured, in the place of the one before it; the last writer wins."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    run = MeasuredRun(
        recipe_digest=recipe_digest,
        device=device,
        seconds_per_image=seconds_per_image,
        num_images=number,
        ended=now,
    )
    others = [
        known for known in _read() if (known.recipe_digest, known.device) != (recipe_digest, device)
    ]
    try:
        _write((*others[-MAX_RUNS + 1 :], run))
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        logger.debug("the run's speed is not remembered: %s", error)


def _file() -> Path:
    folder = os.environ.get("REDEPTH_CACHE") or Path.home() / ".cache" / "redepth"
    return Path(folder) / FILE


def _read() -> tuple[MeasuredRun, ...]:
    """Return the runs, the last one last; none of a file that is missing, or no such file."""
    try:
        with _file().open("rb") as stream:
            return _RUNS.validate_json(stream.read(_MAX_BYTES))
    except (OSError, RuntimeError, ValidationError):
        return ()


def _write(runs: tuple[MeasuredRun, ...]) -> None:
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{FILE}.")
    with os.fdopen(handle, "wb") as stream:
        stream.write(_RUNS.dump_json(runs, indent=1))
    Path(temporary).replace(file)
