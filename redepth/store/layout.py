"""Names of the objects of an output, format version 3.

dataset.json                 recipe, models and software, written once
manifest/<number>-<time>-<digest>.parquet    what a plan found to do
arrays/<try>-<digest>/       Zarr v3 group of one shard, or of a later try at some of its images
labels/<shard>.parquet       one row an image; its atomic put is the commit
index/fragments.arrow            what fragments say, for planning; a copy, may be removed
reports/<run>/               pages and pictures, and run.json: how fast the run was
lease.json                   which run works here now; does not say what is done
.redepth-doctor-<hex>        `redepth doctor` tries the storage with it, for a moment
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from redepth.errors import IntegrityError

FORMAT_VERSION = 3
DATASET = "dataset.json"
LEASE = "lease.json"
PROBE = ".redepth-doctor-"  # begins the names of the objects that `redepth doctor` tries with
MANIFESTS = "manifest"
ARRAYS = "arrays"
LABELS = "labels"
REPORTS = "reports"
PARQUET = ".parquet"
# One segment of a path, without what a filesystem, fsspec or a shell takes for more than a letter.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FRAGMENT = re.compile(r"(?P<shard>[0-9a-f]{16})\.parquet")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
# What finds the fragments, and neither a sync tool's copies of them nor a Mac's `._` files.
FRAGMENT_GLOB = f"{LABELS}/{'?' * 16}{PARQUET}"
_canonical = json.JSONEncoder(separators=(",", ":")).encode


def shard_id(recipe_digest: str, image_ids: Sequence[str]) -> str:
    """Return 16 hex digits over the recipe and the ids in order: the same work, the same name."""
    return hashlib.sha256(_canonical([recipe_digest, *image_ids]).encode()).hexdigest()[:16]


def array_group(shard: str, num_earlier: int) -> str:
    """Name a shard's next try, after so many that are committed already."""
    return shard if num_earlier == 0 else f"{shard}.{num_earlier}"


def stored_group(array_group: str, digest: str) -> str:
    """Name the group a try's pixels go to: two writers that differ never write one object."""
    return f"{array_group}-{digest}"


def try_of(stored: str) -> str:
    """Return the try, as `array_group` names it, whose pixels a stored group holds."""
    return stored.partition("-")[0]


def digest_in(stored: str) -> str | None:
    """Return the digest in a group's name; None for one written before names had any."""
    return stored.rpartition("-")[2] if "-" in stored else None


def shard_of(name: str) -> str | None:
    """Return the shard whose fragment has this name, None if no fragment is called so.

    Other files come to lie in labels/: `._x.parquet` of a Mac, `x (conflicted copy).parquet`.
    """
    match = _FRAGMENT.fullmatch(name.rpartition("/")[2])
    return None if match is None else match["shard"]


def is_temporary(name: str) -> bool:
    """Whether a killed writer left a file of this name beside its target; see `objects`."""
    return _TEMPORARY.fullmatch(name) is not None


def fragment_name(shard: str) -> str:
    """Name a shard's fragment. Raises IntegrityError as `require_name`."""
    return f"{LABELS}/{require_name('shard', shard)}{PARQUET}"


def group_folder(group: str) -> str:
    """Name an array group's folder. Raises IntegrityError as `require_name`."""
    return f"{ARRAYS}/{require_name('array group', group)}"


def require_name(what: str, name: str) -> str:
    """Return a name that an object of the output gave, if it names something below its folder.

    An output may come from a stranger: `../../home` must lead nowhere.

    Raises:
        IntegrityError: it is no name that redepth gives.
    """
    if not _NAME.fullmatch(name):
        raise IntegrityError(
            f"{name[:200]!r} is no name of a {what}; expected letters, digits, '.', '_' and '-' "
            "alone: this output was not written by redepth, do not use it"
        )
    return name
