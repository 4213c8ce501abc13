"""Which truth belongs to which photograph: by file name, and by folders where names repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from redepth.truth.files import stem_key
from redepth.truth.truth import TruthFile

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found to belong together.

    Attributes:
        pairs: the truth of each photograph that has one, by image id.
        alone: ids of the photographs without a truth, or with several that fit equally well.
        num_unused: truths without a photograph; a data set is often labelled in part.
    """

    pairs: Mapping[str, TruthFile]
    alone: tuple[str, ...]
    num_unused: int


def pair(uris: Mapping[str, str], files: Sequence[TruthFile]) -> Pairing:
    """Pair photographs with truths.

    Both are grouped by file name, without suffix and without words such as "rgb" and "depth". A
    name that only one photograph and one truth have is a pair. Otherwise two are a pair if each
    shares more folder names with the other than with anything else of that name.

    Args:
        uris: where each image lies, by its id.
    """
    truths: dict[str, list[TruthFile]] = defaultdict(list)
    images: dict[str, list[str]] = defaultdict(list)
    for file in files:
        truths[_key(file.name)].append(file)
    for image_id, uri in uris.items():
        images[_key(_without_suffix(uri))].append(image_id)
    pairs: dict[str, TruthFile] = {}
    for key, ids in images.items():
        pairs |= _pair_one_name({i: uris[i] for i in ids}, truths.get(key, []))
    used = {file.path for file in pairs.values()}
    return Pairing(
        pairs={image_id: pairs[image_id] for image_id in uris if image_id in pairs},
        alone=tuple(image_id for image_id in uris if image_id not in pairs),
        num_unused=sum(file.path not in used for file in files),
    )


def _pair_one_name(uris: Mapping[str, str], files: Sequence[TruthFile]) -> dict[str, TruthFile]:
    """Pair photographs and truths of one file name by the folders that they share."""
    if len(uris) == 1 and len(files) == 1:
        return dict(zip(uris, files, strict=True))
    shared = {
        (image_id, file): _num_shared(uri, file) for image_id, uri in uris.items() for file in files
    }
    found = {}
    for image_id in uris:
        best = _single_best({file: shared[image_id, file] for file in files})
        if best is not None and _single_best({i: shared[i, best] for i in uris}) == image_id:
            found[image_id] = best
    return found


def _num_shared(uri: str, file: TruthFile) -> int:
    """Count the folder names that a photograph and a truth have in common."""
    folders = set(PurePosixPath(file.name).parts[:-1]) | set(file.path.parts[:-1])
    return len(folders.intersection(PurePosixPath(uri).parts[:-1]))


def _single_best(scores: Mapping[Key, int]) -> Key | None:
    """Return the key of the highest score, None if there is no score or a tie."""
    highest = max(scores.values(), default=0)
    best = [key for key, score in scores.items() if score == highest]
    return best[0] if len(best) == 1 else None


def _key(name: str) -> str:
    return stem_key(PurePosixPath(name).name)


def _without_suffix(uri: str) -> str:
    return str(PurePosixPath(uri).with_suffix(""))
