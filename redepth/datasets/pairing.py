"""Which ground truth belongs to which photograph: by path, else by file name and folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from posixpath import splitext
from typing import TypeVar

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.names import Folders, agreement, contradict, folders_of, image_key, path_of
from redepth.errors import ConfigError
from redepth.images.uris import real_folder

Key = TypeVar("Key")

_FILES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found to belong together.

    Attributes:
        pairs: the ground truth of each photograph that has one, by image id.
        unmatched: ids of the photographs without ground truth, whatever the reason.
        ambiguous: of those, the ones with a file that fits, but so do others: what fits.
        contradicting: of those, the ones with a file of their name in folders that contradict, and
            which no other photograph has: one such file.
        num_unused: files without a photograph; a data set is often labelled in part.
    """

    pairs: Mapping[str, DepthFile]
    unmatched: tuple[str, ...]
    num_unused: int
    ambiguous: Mapping[str, tuple[DepthFile, ...]] = field(default_factory=dict)
    contradicting: Mapping[str, DepthFile] = field(default_factory=dict)


def pair(uris: Mapping[str, str], files: Sequence[DepthFile]) -> Pairing:
    """Pair photographs with ground truth; what could be meant is never guessed.

    Where the data set's layout, or a list, names a file's photograph, a uri that ends in that path
    is a pair. The rest is grouped by file name, without suffix and without words such as "rgb" and
    "depth". Of one name, those are pairs whose folders agree, and share more with each other than
    with anything else of that name; see `agreement`.

    Args:
        uris: where each image lies, by its id.

    Raises:
        ConfigError: a photograph's name shows that all are named otherwise than the format says.
    """
    own = {_real_path(str(file.path)) for file in files}
    paths = {image_id: path for image_id, uri in uris.items() if (path := path_of(uri)) not in own}
    found, ambiguous = _by_path(paths, files)
    taken = set(found.values())
    groups: dict[str, _OneName] = defaultdict(_OneName)
    for file in files:
        if file not in taken and not file.is_stated:
            groups[image_key(file.name)].files.append(file)
    for image_id, path in paths.items():
        if image_id not in found and image_id not in ambiguous:
            groups[image_key(splitext(path)[0])].paths[image_id] = path
    for group in groups.values():
        found_here, ambiguous_here = group.pairs()
        found |= found_here
        ambiguous |= ambiguous_here
    _require_no_refusal(uris, found)
    used = frozenset(found.values())
    return Pairing(
        pairs={image_id: found[image_id] for image_id in uris if image_id in found},
        unmatched=tuple(image_id for image_id in uris if image_id not in found),
        num_unused=sum(file not in used for file in files),
        ambiguous=ambiguous,
        contradicting={
            image_id: unused[0]
            for group in groups.values()
            if (unused := [file for file in group.files if file not in used])
            for image_id in group.paths
            if image_id not in found and image_id not in ambiguous
        },
    )


def reasons(found: Pairing, uris: Mapping[str, str], limit: int) -> str:
    """Say of some photographs without ground truth why they have none, those in doubt first."""
    doubtful = [i for i in found.unmatched if i in found.ambiguous or i in found.contradicting]
    shown = list(dict.fromkeys((*doubtful, *found.unmatched)))[:limit]
    lines = [f"  {uris[image_id]}{_reason(found, image_id)}" for image_id in shown]
    if len(found.unmatched) > limit:
        lines.append(f"  ... and {len(found.unmatched) - limit} more")
    return "\n".join(lines)


def _reason(found: Pairing, image_id: str) -> str:
    if image_id in found.ambiguous:
        fitting = found.ambiguous[image_id]
        names = ", ".join(str(file.path) for file in fitting[:_FILES_SHOWN])
        if len(fitting) == 1:
            return f": other photographs fit its file {names} as well"
        return f": {len(fitting)} files fit equally well: {names}"
    if image_id in found.contradicting:
        other = found.contradicting[image_id]
        return f": {other.path} has its name, but their folders contradict each other"
    return ""


Found = tuple[dict[str, DepthFile], dict[str, tuple[DepthFile, ...]]]


@dataclass(slots=True)
class _OneName:
    """Photographs and depth files of one name."""

    paths: dict[str, str] = field(default_factory=dict)
    files: list[DepthFile] = field(default_factory=list)

    def pairs(self) -> Found:
        """Return the pairs, and the files that fit where none fits best."""
        if not self.paths or not self.files:
            return {}, {}
        shared = self._shared_folders()
        of_image: dict[str, dict[int, int]] = defaultdict(dict)
        of_file: dict[int, dict[str, int]] = defaultdict(dict)
        for (image_id, number), count in shared.items():
            of_image[image_id][number] = of_file[number][image_id] = count
        best_of_file = {number: _best(scores) for number, scores in of_file.items()}
        found: dict[str, DepthFile] = {}
        ambiguous: dict[str, tuple[DepthFile, ...]] = {}
        for image_id, scores in of_image.items():
            fitting = _best(scores)
            rivals = [best_of_file[number] for number in fitting]
            if len(fitting) == 1 and rivals == [[image_id]]:
                found[image_id] = self.files[fitting[0]]
            elif any(image_id in best for best in rivals):
                ambiguous[image_id] = tuple(self.files[number] for number in fitting)
        return found, ambiguous

    def _shared_folders(self) -> dict[tuple[str, int], int]:
        """Return how many folders an image and a file share, of those that agree."""
        images = [(image_id, _folders(path)) for image_id, path in self.paths.items()]
        shared = {}
        for number, file in enumerate(self.files):
            depth, above = _folders(file.name), _above(file)
            for image_id, photograph in images:
                count = _agreement(photograph, depth, above)
                if count is not None:
                    shared[image_id, number] = count
        return shared


def _require_no_refusal(uris: Mapping[str, str], found: Mapping[str, DepthFile]) -> None:
    for image_id, file in found.items():
        if file.refusal is not None:
            raise ConfigError(f"{uris[image_id]}: {file.refusal}")


def _by_path(paths: Mapping[str, str], files: Sequence[DepthFile]) -> Found:
    """Pair by the photograph's path below the data set's folder, the longest paths first.

    Of several photographs whose paths end so, the one is meant that lies in that very folder.
    """
    named = {file.photograph: file for file in files if file.photograph is not None}
    ids = _ids_by_end(paths, frozenset(named))
    found: dict[str, DepthFile] = {}
    fitting: dict[str, tuple[DepthFile, ...]] = defaultdict(tuple)
    for end in sorted(named, key=lambda path: -path.count("/")):
        file = named[end]
        ending = [i for i in ids.get(end, ()) if i not in found and not _elsewhere(paths[i], file)]
        here = [image_id for image_id in ending if paths[image_id] == _location(file)]
        for image_id in here or ending:
            if len(here or ending) == 1:
                found[image_id] = file
            else:
                fitting[image_id] += (file,)
    return found, {i: several for i, several in fitting.items() if i not in found}


def _ids_by_end(paths: Mapping[str, str], ends: frozenset[str]) -> dict[str, list[str]]:
    """Return the ids of the images whose paths end in each of some paths."""
    ids: dict[str, list[str]] = defaultdict(list)
    for num_parts in {path.count("/") + 1 for path in ends}:
        for image_id, path in paths.items():
            last = "/".join(path.rsplit("/", num_parts)[-num_parts:])
            if last in ends and last.count("/") + 1 == num_parts:
                ids[last].append(image_id)
    return ids


def _location(file: DepthFile) -> str:
    """Return where the photograph lies that the layout names, as a listing writes it."""
    if file.root is None:
        return ""
    return _real_path(f"{file.root}/{file.photograph}")


def _real_path(path: str) -> str:
    """Return a path of this machine as a listing of photographs writes it."""
    folder, _, name = path.rpartition("/")
    return f"{real_folder(folder).rstrip('/')}/{name}"


def _elsewhere(path: str, file: DepthFile) -> bool:
    """Return whether a path that ends rightly begins in another data set's folder."""
    if file.is_stated or file.photograph is None:
        return False
    return contradict(_folders(path.removesuffix(file.photograph) + "."), _above(file))


def _above(file: DepthFile) -> Folders:
    return () if file.root is None else _folders(f"{real_folder(str(file.root))}/.")


def _best(scores: Mapping[Key, int]) -> list[Key]:
    """Return the keys of the highest score."""
    highest = max(scores.values())
    return [key for key, score in scores.items() if score == highest]


# A data set has thousands of files in some folders.
_agreement = cache(agreement)


@cache
def _folders_in(folder: str) -> Folders:
    return folders_of(f"{folder}/-")


def _folders(path: str) -> Folders:
    return _folders_in(path.rpartition("/")[0])
