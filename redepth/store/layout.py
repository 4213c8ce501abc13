"""Names of the objects of an output, format version 1.

dataset.json                 recipe, models and software, written once
manifest/<stamp>-<digest>.parquet    what a plan found to do
arrays/<group>/              Zarr v3 group of one shard, or of a second try at some of its images
labels/<shard>.parquet       one row an image; its atomic put is the commit
reports/<run>/               pages and pictures, never read back
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

FORMAT_VERSION = 1
DATASET = "dataset.json"
MANIFESTS = "manifest"
ARRAYS = "arrays"
LABELS = "labels"
REPORTS = "reports"
PARQUET = ".parquet"
QUANTITIES = ("coarse", "refined", "spread", "confidence")


def shard_id(recipe_digest: str, image_ids: Sequence[str]) -> str:
    """Return 16 hex digits over the recipe and the ids in order: the same work, the same name."""
    canonical = json.dumps([recipe_digest, *image_ids], separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def array_group(shard: str, num_earlier: int) -> str:
    """Name the group of a shard's next try, after so many that are committed already."""
    return shard if num_earlier == 0 else f"{shard}.{num_earlier}"


def label_part(shard: str) -> str:
    return f"{LABELS}/{shard}{PARQUET}"


def group_folder(group: str) -> str:
    return f"{ARRAYS}/{group}"
