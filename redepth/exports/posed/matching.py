"""Which picture of a reconstruction a label is of: by path, as COLMAP names its pictures.

A picture's name is its path below the folder of pictures. A label is of the picture whose name its
uri ends with; of several, the longest. A picture that no uri ends with goes to the label of the
same file name, where both are the only ones of that name. What is not sure is not matched.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redepth.datasets.names import path_of


@dataclass(frozen=True, slots=True)
class Matching:
    """Labels and pictures that belong together, and what is left.

    Attributes:
        names: of the picture of each label, by id.
        unmatched: ids of labels without a picture.
        unlabelled: names of pictures without a label.
    """

    names: Mapping[str, str]
    unmatched: tuple[str, ...]
    unlabelled: tuple[str, ...]


def match(uris: Mapping[str, str], names: Sequence[str]) -> Matching:
    """Match labels, by their ids and uris, with the names of pictures."""
    paths = {image_id: path_of(uri) for image_id, uri in uris.items()}
    known = set(names)
    by_path = {i: name for i, path in paths.items() if (name := _named_by(path, known))}
    found = _only_once(by_path)
    left = {image_id: path for image_id, path in paths.items() if image_id not in by_path}
    found |= _by_file_name(left, known - set(by_path.values()))
    used = set(found.values())
    return Matching(
        found,
        tuple(image_id for image_id in uris if image_id not in found),
        tuple(name for name in names if name not in used),
    )


def _named_by(path: str, known: set[str]) -> str | None:
    """Return the longest end of a path that is a picture's name."""
    parts = [part for part in path.split("/") if part]
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in known), None)


def _only_once(found: Mapping[str, str]) -> dict[str, str]:
    """Leave out the labels of pictures that several labels could be of."""
    num_labels = Counter(found.values())
    return {image_id: name for image_id, name in found.items() if num_labels[name] == 1}


def _by_file_name(paths: Mapping[str, str], names: set[str]) -> dict[str, str]:
    labels, pictures = defaultdict(list), defaultdict(list)
    for image_id, path in paths.items():
        labels[path.rpartition("/")[2]].append(image_id)
    for name in names:
        pictures[name.rpartition("/")[2]].append(name)
    return {
        ids[0]: pictures[name][0]
        for name, ids in labels.items()
        if len(ids) == 1 and len(pictures.get(name, ())) == 1
    }
