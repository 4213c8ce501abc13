"""Which ground truth belongs to which photograph: by path, else by file name and folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.files import stem_key

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found to belong together.

    Attributes:
        pairs: the ground truth of each photograph that has one, by image id.
        unmatched: ids of the photographs without ground truth, or with several files that fit
            equally well.
        num_unused: files without a photograph; a data set is often labelled in part.
    """

    pairs: Mapping[str, DepthFile]
    unmatched: tuple[str, ...]
    num_unused: int


def pair(uris: Mapping[str, str], files: Sequence[DepthFile]) -> Pairing:
    """Pair photographs with ground truth.

    Where the data set's layout names a file's photograph, a uri that ends in that path is a pair.
    The rest is grouped by file name, without suffix and without words such as "rgb" and "depth". A
    name that only one photograph and one file have is a pair. Otherwise two are a pair if each
    shares more folder names with the other than with anything else of that name.

    Args:
        uris: where each image lies, by its id.
    """
    found = _by_path(uris, files)
    depths: dict[str, list[DepthFile]] = defaultdict(list)
    images: dict[str, list[str]] = defaultdict(list)
    taken = set(found.values())
    for file in files:
        if file not in taken:
            depths[_key(file.name)].append(file)
    for image_id, uri in uris.items():
        if image_id not in found:
            images[_key(_without_suffix(uri))].append(image_id)
    for key, ids in images.items():
        found |= _pair_one_name({i: uris[i] for i in ids}, depths.get(key, []))
    used = {file.path for file in found.values()}
    return Pairing(
        pairs={image_id: found[image_id] for image_id in uris if image_id in found},
        unmatched=tuple(image_id for image_id in uris if image_id not in found),
        num_unused=sum(file.path not in used for file in files),
    )


def _by_path(uris: Mapping[str, str], files: Sequence[DepthFile]) -> dict[str, DepthFile]:
    """Pair by the photograph's path below the data set's folder; ends that repeat are no pair."""
    named = {file.photograph: file for file in files if file.photograph is not None}
    ids: dict[str, list[str]] = defaultdict(list)
    for num_parts in {path.count("/") + 1 for path in named}:
        for image_id, uri in uris.items():
            end = uri.rsplit("/", num_parts)[-num_parts:]
            if len(end) == num_parts:
                ids["/".join(end)].append(image_id)
    single = {path: ids[path] for path in named if len(ids.get(path, ())) == 1}
    return {image_id: named[path] for path, (image_id,) in single.items()}


def _pair_one_name(uris: Mapping[str, str], files: Sequence[DepthFile]) -> dict[str, DepthFile]:
    """Pair photographs and ground truth of one file name by the folders that they share."""
    if len(uris) == 1 and len(files) == 1:
        return dict(zip(uris, files, strict=True))
    of_images = {i: frozenset(PurePosixPath(uri).parts[:-1]) for i, uri in uris.items()}
    of_files = {file: _folders(file) for file in files}
    shared = {(i, f): len(a & b) for i, a in of_images.items() for f, b in of_files.items()}
    found = {}
    for image_id in uris:
        best = _single_best({file: shared[image_id, file] for file in files})
        if best is not None and _single_best({i: shared[i, best] for i in uris}) == image_id:
            found[image_id] = best
    return found


def _folders(file: DepthFile) -> frozenset[str]:
    return frozenset((*PurePosixPath(file.name).parts[:-1], *file.path.parts[:-1]))


def _single_best(scores: Mapping[Key, int]) -> Key | None:
    """Return the key of the highest score, None if there is no score or a tie."""
    highest = max(scores.values(), default=0)
    best = [key for key, score in scores.items() if score == highest]
    return best[0] if len(best) == 1 else None


def _key(name: str) -> str:
    return stem_key(PurePosixPath(name).name)


def _without_suffix(uri: str) -> str:
    return str(PurePosixPath(uri).with_suffix(""))
