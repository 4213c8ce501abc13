"""Names that no person gave to a photograph: one rule for folders, buckets, tars and zips."""

from __future__ import annotations

# Of whole folders as well: whatever lies in them is passed over.
_BY_NAME = {
    "__macosx": "AppleDouble",
    "@eadir": "thumbnails of a Synology",
    "thumbs.db": "thumbnails of Windows",
    "ehthumbs.db": "thumbnails of Windows",
    "desktop.ini": "settings of Windows",
    "$recycle.bin": "bin",
    "system volume information": "settings of Windows",
    "lost+found": "bin",
}


def hidden_kind(name: str) -> str | None:
    """Return what a file or folder of that name is called that is passed over, else None.

    Args:
        name: one segment of a path.
    """
    if name.startswith("._"):
        return "AppleDouble"
    if name.startswith("."):
        return "hidden"
    return _BY_NAME.get(name.lower())


def hidden_kind_in(path: str) -> str | None:
    """Return what `hidden_kind` says of the first segment of a path that it knows, else None."""
    kinds = (hidden_kind(name) for name in path.split("/") if name not in ("", ".", ".."))
    return next((kind for kind in kinds if kind), None)
