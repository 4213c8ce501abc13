"""Names that are passed over wherever photographs are listed: hidden ones, and what systems write.

One rule for folders, buckets, tars, zips and every other walk. A copy of a Mac's folder on a NAS,
unpacked on Linux, holds all of them.
"""

from __future__ import annotations

HIDDEN = "hidden"
APPLE = "AppleDouble"
TRASH = "wastebasket"

_KIND_OF = {
    "__macosx": APPLE,
    "@eadir": "thumbnails of a Synology",
    "@__thumb": "thumbnails of a QNAP",
    ".@__thumb": "thumbnails of a QNAP",
    "thumbs.db": "thumbnails of Windows",
    "ehthumbs.db": "thumbnails of Windows",
    "ehthumbs_vista.db": "thumbnails of Windows",
    "desktop.ini": "settings of Windows",
    "system volume information": "settings of Windows",
    "$recycle.bin": TRASH,
    "#recycle": TRASH,
    "@recycle": TRASH,
    "lost+found": "lost+found",
}


def hidden_kind(path: str) -> str | None:
    """Return as what a file is passed over, None for one that may be a photograph.

    Args:
        path: its path below where the listing starts, or one name of it. A backslash parts names
            too: zips and keys of buckets that Windows wrote have it.
    """
    if "/" not in path and "\\" not in path:
        return _kind_of_name(path)
    kinds = map(_kind_of_name, path.replace("\\", "/").split("/"))
    return next(filter(None, kinds), None)


def names_hidden(pattern: str) -> bool:
    """Whether a glob asks for hidden names: a part of it is one (`.cache/*.jpg`, `@eaDir/*`)."""
    return hidden_kind(pattern) is not None


def _kind_of_name(name: str) -> str | None:
    if not name.startswith("."):
        return _KIND_OF.get(name.lower())
    if name in (".", ".."):
        return None
    if name.startswith("._"):
        return APPLE
    lower = name.lower()
    return TRASH if lower.startswith(".trash") else _KIND_OF.get(lower, HIDDEN)
