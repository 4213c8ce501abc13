"""What can be known to be missing before Ray, or anything else, is started for a run."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import suppress
from pathlib import Path

from redepth.config import Recipe
from redepth.errors import ConfigError
from redepth.refiners import refiners
from redepth.weights import require_folder

# Ray's two servers open some 60 files and three more for each worker; Prefect's server, which holds
# a connection for each task run, some 100. Short of them, they wait for ever instead of failing.
OPEN_FILES = 512
OPEN_FILES_PER_ACTOR = 8
TEMPORARY_BYTES = 4 << 20


def require_readiness(recipe: Recipe, ray_address: str | None) -> None:
    """Look for what a run needs on this machine; costs no time, at most a small file's download.

    Args:
        recipe: decides how many actors there are and where their weights lie.
        ray_address: of a cluster, whose machines have limits and folders of their own.

    Raises:
        ConfigError: names the limit, the folder, the triage or the space, and what to do.
    """
    require_surroundings()
    actors = recipe.run.actors
    num_processes = 0 if ray_address else (actors.num_actors or 1) + actors.num_decoders
    _require_open_files(OPEN_FILES + OPEN_FILES_PER_ACTOR * num_processes)
    if ray_address is None:
        for model in recipe.labels.models():
            require_folder(model.own)
        read_routing = refiners[recipe.labels.refiner.method].routing
        if read_routing is not None:
            read_routing(recipe.labels.refiner)


def require_surroundings() -> None:
    """Refuse a working directory that was removed and a temporary one that is full.

    Prefect's server and Ray start in them and, without, are waited for in vain.

    Raises:
        ConfigError: what is missing, and what to do.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError(
            "the working directory of this command was removed; change to one that is there (cd), "
            "then run again"
        ) from error
    # Python would silently take another one; SQLite and Ray do not.
    folder = os.environ.get("TMPDIR") or None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TEMPORARY_BYTES))
    except OSError as error:
        raise ConfigError(
            f"temporary files cannot be written in {folder or 'any usual folder'} "
            f"({error.strerror or error}); a run needs {TEMPORARY_BYTES >> 20} MiB there: free "
            "some space, or set TMPDIR to another folder"
        ) from error


def _require_open_files(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"too few open files are allowed here: {hard} (ulimit -Hn), and a run of this size "
            f"needs {needed}. Raise the limit (ulimit -n {max(4096, needed)}, or as root in "
            "/etc/security/limits.conf), or take fewer actors (--actors)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
