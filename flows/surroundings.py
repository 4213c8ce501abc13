"""What a run needs of the process it starts in, looked at before anything is spent."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from redepth.errors import ConfigError

_NEEDED_BYTES = 4 << 20


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
            file.write(bytes(_NEEDED_BYTES))
    except OSError as error:
        raise ConfigError(
            f"temporary files cannot be written in {folder or 'any usual folder'} "
            f"({error.strerror or error}); a run needs {_NEEDED_BYTES >> 20} MiB there: free some "
            "space, or set TMPDIR to another folder"
        ) from error
