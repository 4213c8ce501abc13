"""What the names on a path say: which image a file is of, and where paths contradict each other.

Photographs and depth files of one data set lie in folders of one name, apart from words that only
say what kind of file lies there:

    2011_09_26/2011_09_26_drive_0009_sync/image_02/data/0000000005.png
    val/2011_09_26_drive_0009_sync/proj_depth/groundtruth/image_02/0000000005.png
"""

from __future__ import annotations

import re

Folders = tuple[str, ...]

# What names say of a file's role: rgb_00012 and sync_depth_00012 are one image.
ROLE_WORDS = frozenset(
    (
        "rgb", "color", "colors", "colour", "colours", "image", "images", "img", "imgs", "photo",
        "photos", "left", "depth", "depths", "gt", "groundtruth", "sync", "disp", "disparity",
    )
)  # fmt: skip
# In a folder's name these say no more; but left and right are two cameras.
_FOLDER_WORDS = (ROLE_WORDS - {"left"}) | {
    "rgbs", "photograph", "photographs", "picture", "pictures", "frames", "disparities", "ground",
    "truth", "proj", "data", "raw", "jpg", "jpeg", "png", "pfm", "zip", "tar",
}  # fmt: skip
# A part of a data set: where one side alone names it, it says nothing.
_PARTS = {
    "train": "train", "training": "train", "val": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
_STORAGE = frozenset(("disk", "data", "mnt", "ssd", "hdd", "nvme", "vol", "volume", "raid", "user"))
_BETWEEN_WORDS = re.compile(r"[_\-\s.]+")
_NUMBER_OR_SIDE = re.compile(r"\d+|left|right")


def image_key(path: str) -> str:
    """Return the name on a path without suffix, without words of its role, lower case.

    Whole numbers lose their leading zeros. A name that consists of such words alone is empty: its
    folder names the image.
    """
    words = _words(path.rpartition("/")[2])
    return "_".join(_word(word) for word in words if word not in ROLE_WORDS)


def folders_of(path: str) -> Folders:
    """Return the folders on a path that tell images apart, lower case, the nearest last."""
    return tuple(filter(None, (_folder(name) for name in path.split("/")[:-1])))


def path_of(uri: str) -> str:
    """Return a uri as a path: without protocol and query; a member of an archive lies below it."""
    member, is_chained, archive = uri.partition("::")
    if is_chained and "://" in member:
        return f"{path_of(archive)}/{member.partition('://')[2]}"
    protocol, has_protocol, rest = uri.partition("://")
    if not has_protocol:
        return uri
    return rest.partition("?")[0] if protocol.startswith("http") else rest


def agreement(photograph: Folders, depth: Folders, above: Folders = ()) -> int | None:
    """Return how many folders both paths have, None where they contradict each other.

    They agree where the photograph's path has every folder of the depth file, in the same order:
    (home, kitchen, 02) and (kitchen, 02), but not (home, kitchen, 02) and (bedroom, 02). Where the
    photograph's path begins with a shared folder, the other may have more in front. Folders above
    the data set's own can be called anything; but see `contradict`.

    Args:
        photograph: folders on the photograph's whole path.
        depth: folders of the depth file below the data set's folder.
        above: folders on the path of the data set's folder.
    """
    photograph, depth = _same_parts(photograph, depth)
    end, num_shared, num_own = len(photograph), 0, 0
    for name in reversed(depth):
        place = _last_place(photograph, name, end)
        if place is None:
            num_own += 1
        elif num_own:
            return None
        else:
            end, num_shared = place, num_shared + 1
    if (num_own and end) or (not num_own and contradict(photograph[:end], above)):
        return None
    return num_shared


def contradict(first: Folders, second: Folders) -> bool:
    """Return whether two paths have names that differ in a number alone, or in left and right.

    (scans, scene0000) and (copies, scene0777) do; with scene0777 in both it is another's number.
    Of names that are a number and nothing else, the nearest that differ are compared.
    """
    of_first, of_second = _by_shape(first), _by_shape(second)
    if any(of_first[shape].isdisjoint(of_second[shape]) for shape in of_first.keys() & of_second):
        return True
    pairs = zip(reversed(first), reversed(second), strict=False)
    nearest = next(((one, other) for one, other in pairs if one != other), ("", ""))
    return all(name.isdecimal() for name in nearest)


def _by_shape(names: Folders) -> dict[str, set[str]]:
    """Return the names with a number or a side in them, by what is left without."""
    found: dict[str, set[str]] = {}
    for name in names:
        shape, num_numbers = _NUMBER_OR_SIDE.subn("#", name)
        letters = re.sub(r"[^a-z]", "", shape)
        is_side = name in ("left", "right")
        if num_numbers and letters not in _STORAGE and (letters or is_side):
            found.setdefault(shape, set()).add(name)
    return found


def _same_parts(photograph: Folders, depth: Folders) -> tuple[Folders, Folders]:
    """Leave out names of parts (train, test), unless both paths have one."""
    if any(n in _PARTS for n in photograph) and any(n in _PARTS for n in depth):
        first, second = (tuple(_PARTS.get(n, n) for n in names) for names in (photograph, depth))
        return first, second
    first, second = (tuple(n for n in names if n not in _PARTS) for names in (photograph, depth))
    return first, second


def _last_place(names: Folders, name: str, end: int) -> int | None:
    return next((place for place in range(end - 1, -1, -1) if names[place] == name), None)


def _folder(name: str) -> str:
    return "_".join(word for word in _words(name) if word not in _FOLDER_WORDS)


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(name.lower()) if word]


def _word(word: str) -> str:
    return (word.lstrip("0") or "0") if word.isdecimal() else word
