"""What redepth itself wrote is no collection of photographs: outputs, exports and scores.

Labels are often written into the folder that the photographs lie in. Their pictures (contact
sheets, exported maps) must not be labelled in turn. A tree is known by a file that redepth writes
into its root, and by what stands in that file: others call files `dataset.json` too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

# The files, the keys that ours have, and what the tree below is called.
_MARKERS = {
    "dataset.json": (("format_version", "recipe_digest"), "redepth's own labels"),
    "export.json": (("recipe_digest", "request"), "redepth's own export"),
    "evaluation.json": (("labels", "dataset_format"), "redepth's own scores"),
}
_MAX_MARKER_BYTES = 2**24
Read = Callable[[str, int], bytes]


def own_tree(names: Iterable[str], read: Read) -> str | None:
    """Return what a folder is called that redepth wrote, None of any other.

    Args:
        names: of its files.
        read: returns up to so many bytes of the file of a name; its OSError means no.
    """
    held = set(names)
    for name in _MARKERS:
        if name in held and is_own(name, read):
            return _MARKERS[name][1]
    return None


def own_folders(paths: Iterable[str], read: Read) -> dict[str, str]:
    """Return the folders of an archive that redepth wrote, and what they are called.

    Args:
        paths: of all its files.
        read: as `own_tree` takes it, by a path.
    """
    found: dict[str, str] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name in _MARKERS and is_own(name, _reading(path, read)):
            found[folder] = _MARKERS[name][1]
    return found


def _reading(path: str, read: Read) -> Read:
    return lambda _, max_bytes: read(path, max_bytes)


def own_kind(path: str, folders: Mapping[str, str]) -> str | None:
    """Return what the folder is called that redepth wrote and a path lies in, None of any other."""
    parents = (path[:end] for end, letter in enumerate(path) if letter == "/")
    return next((folders[each] for each in ("", *parents) if each in folders), None)


def is_own(name: str, read: Read) -> bool:
    """Whether the marker of that name is one that redepth wrote."""
    keys, _ = _MARKERS[name]
    try:
        said = json.loads(read(name, _MAX_MARKER_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.keys() >= set(keys)
