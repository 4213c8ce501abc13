"""What a person points at (folder, glob, prefix, list, one file) becomes a stream of ImageRef.

Nothing is read but names: what a file really is gets decided when it is decoded. Listings of
folders, prefixes and globs keep the names that look like images; a list keeps everything it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from fsspec.utils import glob_translate

from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images.archives.parquet_images import holds_images, parquet_images
from redepth.images.archives.tar_images import TAR, is_tar, tar_images
from redepth.images.braces import expanded, has_braces
from redepth.images.hidden import names_hidden
from redepth.images.lists.listed_images import (
    distinct,
    listed_images,
    require_protocol,
    require_well_typed,
)
from redepth.images.lists.readers import PARQUET, is_list, list_suffix
from redepth.images.noticed import Noticed, Notices, as_lines
from redepth.images.opening import open_source
from redepth.images.other_files import is_other_file, require_no_other_file
from redepth.images.picture.formats import IMAGE_SUFFIXES
from redepth.images.ref_texts import as_text
from redepth.images.uris import (
    canonical_id,
    canonical_uri,
    file_name,
    has_wildcards,
    image_id,
    is_local,
    parent_uri,
    real_folder,
)
from redepth.images.walk import Found, Wanted, find_one, stat_file, walk
from redepth.redaction import refuse_secrets, shown
from redepth.storage_errors import in_words, storage_errors
from redepth.types import ImageRef

__all__ = ["IMAGE_SUFFIXES", "canonical_uri", "could_list", "image_id", "list_images"]

_ZIP = ".zip"
CONTAINERS = (TAR, PARQUET, _ZIP)
_ARCHIVES = ("tar://", "zip://")
_MAX_FAULTS_TOLD = 5


def list_images(
    source: str, limit: int | None = None, noticed: Noticed | None = None
) -> Iterator[ImageRef]:
    """Yield the images of a collection, in a fixed order, without holding them.

    One container of several that cannot be read, or a folder in a folder, is noticed as a fault;
    the rest is listed.

    Args:
        source: a local folder; a glob (`**` crosses folders); a prefix (`s3://bucket/photos`, any
            fsspec URL); one image; a list file (.txt .csv .jsonl .parquet, see `lists`); a
            tar, a zip or a Parquet file that holds images; several of these, by a glob or braces
            (`{000..010}.tar`); what matches in archives (`tar://*.rgb.png::shards/*.tar`).
        limit: stop after so many, without listing the rest.
        noticed: is told of what is not listed, while the listing goes on.

    Raises (at the first `next`, or where the trouble is met):
        ConfigError: nothing is there, nothing in it looks like an image, access is refused, a list
            cannot be understood, or the source carries a password or a signature.
        TransientError: the storage answered badly.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    if not source.strip():
        raise ConfigError("no source given: name a folder, a glob, a prefix, an image or a list")
    refuse_secrets(source)
    noticed = noticed or Noticed()
    with storage_errors(source, missing_is_wrong=True):
        num_listed = 0
        try:
            for ref in islice(_images(source, noticed), limit):
                num_listed += 1
                noticed.listed(ref.uri)
                yield as_text(ref)
        except ImageRejected as error:  # of the list or the container itself
            raise ConfigError(f"{shown(source)}: {error}") from error
        if not num_listed:
            raise ConfigError(_nothing_found(source, noticed.notices()))


def could_list(source: str) -> Callable[[str], bool]:
    """Return what tells whether a canonical uri could come from the listing of a source.

    Of what lies in a folder, below a prefix or fits a glob it is known. A list, or an archive, may
    have named anything: there it is always so.
    """
    uri = canonical_uri(source)
    is_file = is_local(uri) and Path(uri).is_file()
    if is_local(uri) and Path(uri).is_dir():
        return _lies_below(real_folder(uri))
    if _asks_archives(uri):
        return lambda name: True
    if has_braces(uri) and not is_file:
        several = [could_list(each) for each in expanded(uri)]
        return lambda name: any(could(name) for could in several)
    if has_wildcards(uri) and not is_file:
        return _could_match(uri)
    return _could_be_in_file(uri)


def _could_be_in_file(uri: str) -> Callable[[str], bool]:
    if _looks_like_image(uri):
        return lambda name: name == uri
    if is_local(uri) or _names_a_file(uri):
        return lambda name: True
    return _lies_below(uri)


def _could_match(pattern: str) -> Callable[[str], bool]:
    if _sought(pattern) is not _looks_like_image:
        return lambda name: True
    start, below = _glob_parts(pattern)
    matches = re.compile(re.escape(start.rstrip("/")) + _glob_expression(below)).match
    return lambda name: matches(name) is not None


def _lies_below(folder: str) -> Callable[[str], bool]:
    start = folder.rstrip("/") + "/"
    return lambda name: name.startswith(start)


def _images(source: str, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield what a source names, each image once."""
    uri = canonical_uri(source)
    is_several = has_braces(uri) or (has_wildcards(uri) and is_list(uri))

    def could_repeat(ref: ImageRef) -> bool:
        return is_several or "::" in ref.uri

    return distinct(_refs(source, noticed), lambda: _refs(source, Noticed()), could_repeat)


def _refs(source: str, noticed: Noticed) -> Iterator[ImageRef]:
    require_well_typed(source, source)
    uri = canonical_uri(source)
    require_protocol(uri, source)
    if _asks_archives(uri):
        yield from _members(uri, noticed)
    elif has_braces(uri) and not _exists(uri):
        for each in expanded(uri):
            yield from _one_of_several(each, partial(_refs, each, noticed), noticed)
    elif is_local(uri):
        yield from _local_refs(uri, noticed)
    elif has_wildcards(uri):
        yield from _matching_refs(uri, noticed)
    elif _names_a_file(uri):
        yield from _file_refs(find_one(uri), noticed)
    else:
        yield from map(_ref, walk(uri, Wanted(_looks_like_image, noticed)))


def _exists(uri: str) -> bool:
    """Whether something is called so, braces and all."""
    if is_local(uri):
        return Path(uri).exists()
    filesystem, path = open_source(uri)
    return bool(filesystem.exists(path))


def _local_refs(path: str, noticed: Noticed) -> Iterator[ImageRef]:
    if Path(path).is_dir():
        return map(_ref, walk(real_folder(path), Wanted(_looks_like_image, noticed)))
    if Path(path).is_file():
        return _file_refs(stat_file(path), noticed)
    if has_wildcards(path):
        return _matching_refs(path, noticed)
    raise FileNotFoundError(path)


def _names_a_file(uri: str) -> bool:
    """Whether the name is that of a file, and of no prefix."""
    kinds = (is_tar, _is_zip, is_list, _looks_like_image, is_other_file)
    return any(is_kind(uri) for is_kind in kinds)


def _file_refs(found: Found, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield what one file stands for: the images in it, those it names, or itself."""
    uri = found.uri
    if is_tar(uri):
        return tar_images(_container(uri), found.version, _looks_like_image, noticed)
    if _is_zip(uri):
        return _zip_refs(uri, noticed)
    if not is_list(uri):
        require_no_other_file(uri)
        return iter([_ref(found)])
    if file_name(uri).endswith(PARQUET) and holds_images(uri):
        return parquet_images(_container(uri), found.version)
    return listed_images(uri)


def _container(uri: str) -> str:
    """Return the uri of a file in which images lie, if theirs can be made of it.

    Raises:
        ConfigError: its own path holds what parts it from the names in it.
    """
    if is_local(uri) and "::" in uri:
        raise ConfigError(
            f"{shown(uri)}: its path holds '::', which parts a container from the names in it; "
            "rename the file or the folder"
        )
    return uri


def _matching_refs(pattern: str, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield what a glob matches.

    A pattern that ends as a container or a list does is of these, any other one of images.
    """
    keeps = _sought(pattern)
    for found in _matching_files(pattern, keeps, noticed):
        yield from _one_of_several(found.uri, partial(_file_refs, found, noticed), noticed)


def _matching_files(
    pattern: str, keeps: Callable[[str], bool], noticed: Noticed
) -> Iterator[Found]:
    """Walk from the last folder before the first wildcard and keep what matches."""
    start, below = _glob_parts(pattern)
    matches = re.compile(re.escape(start.rstrip("/")) + _glob_expression(below)).match
    wanted = Wanted(
        keeps=keeps,
        noticed=noticed,
        asked=lambda uri: matches(uri) is not None,
        hidden=names_hidden(below),
        max_depth=None if "**" in below else below.count("/") - 1,
    )
    return walk(start, wanted)


def _sought(pattern: str) -> Callable[[str], bool]:
    """Return what tells of a name whether a glob means it: containers, lists or images."""
    if is_tar(pattern) or _is_zip(pattern) or list_suffix(pattern) == PARQUET:
        return lambda uri: file_name(uri).endswith(CONTAINERS)
    if is_list(pattern):
        return is_list
    require_no_other_file(pattern)
    return _looks_like_image


def _files(source: str, noticed: Noticed) -> Iterator[Found]:
    """Yield the files that a name, a glob or braces stand for."""
    uri = canonical_uri(source)
    if is_local(uri) and Path(uri).is_file():
        yield stat_file(uri)
    elif has_braces(uri) and not _exists(uri):
        for each in expanded(uri):
            yield from _files(each, noticed)
    elif has_wildcards(uri):
        yield from _matching_files(uri, lambda _: True, noticed)
    else:
        yield Found(uri) if is_local(uri) else find_one(uri)


def _asks_archives(uri: str) -> bool:
    """Whether the uri is of what matches within archives: `zip://**/*.jpg::all.zip`."""
    inside, is_chained, place = uri.partition("::")
    if not is_chained or not inside.startswith(_ARCHIVES):
        return False
    several = (has_wildcards(link) or has_braces(link) for link in (inside, place))
    return inside in _ARCHIVES or any(several)


def _members(uri: str, noticed: Noticed) -> Iterator[ImageRef]:
    """Yield the images of archives whose names in them match; of one, trouble ends the listing."""
    inside, _, place = uri.partition("::")
    for found in _files(place, noticed):
        refs = partial(_matching_members, inside, found, noticed)
        if has_wildcards(place) or has_braces(place):
            yield from _one_of_several(found.uri, refs, noticed)
        else:
            yield from refs()


def _matching_members(inside: str, found: Found, noticed: Noticed) -> Iterator[ImageRef]:
    protocol, _, pattern = inside.partition("://")
    patterns = [*expanded(pattern.strip("/"))] if pattern.strip("/") else ["**"]
    matches = [re.compile(_glob_expression(each)).match for each in patterns]

    def is_asked(name: str) -> bool:
        return name == pattern or any(match(name) is not None for match in matches)

    if protocol == "zip":
        return _zip_refs(found.uri, noticed, is_asked)
    return tar_images(
        _container(found.uri),
        found.version,
        lambda name: _looks_like_image(name) and is_asked(name),
        noticed,
    )


def _zip_refs(
    uri: str, noticed: Noticed, asked: Callable[[str], bool] = lambda name: True
) -> Iterator[ImageRef]:
    """Yield the images of a zip; each is read by its own name.

    Raises:
        ConfigError: it is no zip, or damaged.
    """

    def is_asked(member: str) -> bool:
        return asked(member.partition("::")[0].removeprefix("zip://"))

    start = canonical_uri(f"zip://::{_container(uri)}")
    return map(_ref, walk(start, Wanted(_looks_like_image, noticed, is_asked)))


def _one_of_several(
    place: str, refs: Callable[[], Iterator[ImageRef]], noticed: Noticed
) -> Iterator[ImageRef]:
    """Yield what one place holds; trouble with it is noticed, and does not end the listing."""
    try:
        with storage_errors(place, missing_is_wrong=True):
            yield from refs()
    except TransientError:
        raise
    except (ConfigError, ImageRejected) as error:
        noticed.fault(place, str(error).removeprefix(place).lstrip(": "))


def _glob_parts(pattern: str) -> tuple[str, str]:
    """Return the last folder before the first wildcard, as it is walked, and the pattern's rest."""
    start = parent_uri(re.split(r"[*?[]", pattern, maxsplit=1)[0])
    if start.endswith((":", ":/")):
        raise ConfigError(f"{pattern}: the bucket's own name takes no wildcard")
    below = pattern[len(start.rstrip("/")) :]
    return (real_folder(start) if is_local(start) else start), below


def _glob_expression(pattern: str) -> str:
    try:
        return str(glob_translate(pattern))
    except ValueError as error:
        raise ConfigError(f"{pattern}: {in_words(error)}") from error


def _ref(found: Found) -> ImageRef:
    return ImageRef(canonical_id(found.uri), found.uri, found.size_bytes, found.version)


def _is_zip(uri: str) -> bool:
    return file_name(uri).endswith(_ZIP)


def _looks_like_image(uri: str) -> bool:
    return file_name(uri).endswith(IMAGE_SUFFIXES)


def _nothing_found(source: str, notices: Notices) -> str:
    told = "".join(f"\n  {line}" for line in as_lines(notices, _MAX_FAULTS_TOLD))
    if is_list(source):
        return f"{source}: the list names no image{told}"
    return (
        f"{source}: no images found (names ending in {' '.join(sorted(IMAGE_SUFFIXES))}, hidden "
        f"and linked folders ignored): check the spelling, or name the files in a list{told}"
    )
