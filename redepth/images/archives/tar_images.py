"""Photographs inside tars (WebDataset's shards too), read without unpacking.

Of a tar the headers alone are read, and captions. An image is read later, by whoever labels it:
`tar://NAME::CONTAINER` by the range of bytes that the listing has noted (one request); without
that, see `members`, which knows the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives.members import whole
from redepth.images.archives.samples import BESIDE, Samples
from redepth.images.archives.tar_captions import TarCaptions
from redepth.images.archives.tar_contents import TarContents, uri_name
from redepth.images.archives.tar_walk import Damage, Kind, Member, walk_tar
from redepth.images.hidden import hidden_kind
from redepth.images.noticed import NOT_REGULAR, REPEATED, REPLACED, Noticed, kind_by_name
from redepth.images.opening import open_source
from redepth.images.own_outputs import own_folders, own_kind
from redepth.images.reading import open_regular
from redepth.images.uris import file_name, image_id, is_local, uri_digest
from redepth.types import ImageRef

TAR = ".tar"
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
# A request costs as much time as a mebibyte: a few photographs between two headers are read along.
_READ_AHEAD_BYTES = 2**20
_MEMBERS_AT_A_TIME = 100_000
_CAPTION_BYTES = 2**25
_MAX_FAULTS = 100
_FAULTS_IN_ERROR = 3


def is_tar(uri: str) -> bool:
    """Whether the name is that of a tar.

    Raises:
        ConfigError: of a compressed one, of which no part can be read alone.
    """
    name = file_name(uri)
    if name.endswith(_COMPRESSED):
        raise ConfigError(
            f"{uri}: images inside a compressed tar cannot be read one by one; pack it without "
            "compression (photographs are compressed already)"
        )
    return name.endswith(TAR)


def tar_images(
    uri: str, version: str | None, keeps: Callable[[str], bool], noticed: Noticed
) -> Iterator[ImageRef]:
    """Yield the images of a tar, in the order of their bytes, with their captions.

    Parts that cannot be read are noticed as faults, files that are not listed by their kinds. A
    member that is named as an image and has no bytes to read (a link out of the tar, a sparse
    file) is listed: reading it says why not.

    Args:
        keeps: tells by a member's name whether it is an image; of those, the ones that lie beside
            the photograph of their sample are not listed (see `samples`).

    Raises:
        ConfigError: it is no tar, or no image in it can be listed for a fault.

    Memory: some 100 MB at most, and 60 bits an image. Of what lies more than 100,000 files apart, a
    caption is not found, and of one name the first file remains; both are counted.
    """
    filesystem, path = open_source(uri)
    listing = _TarListing(uri, version, keeps, noticed)
    try:
        with filesystem.open(path, "rb", block_size=_READ_AHEAD_BYTES) as file:
            for contents, captions in listing.parts(file):
                yield from listing.images(contents, captions)
    except ValueError as error:  # of a server that gives no part of a file
        raise ConfigError(f"{uri} is not a readable tar: {error}") from error
    listing.close()


class _TarListing:
    """Lists one tar, and notes what it does not list."""

    def __init__(
        self, uri: str, version: str | None, keeps: Callable[[str], bool], noticed: Noticed
    ) -> None:
        self._uri = uri
        self._version = version
        self._keeps = keeps
        self._noticed = noticed
        self._faults: list[str] = []  # until an image is listed: without one, they are the error
        self._num_images = 0
        self._num_faults = 0
        self._listed_keys: set[int] = set()

    def parts(self, file: Any) -> Iterator[tuple[TarContents, TarCaptions]]:
        """Yield what the tar holds, as much as fits into memory at a time."""
        contents, captions = TarContents(), TarCaptions(file)
        for entry in walk_tar(file):
            if isinstance(entry, Damage):
                self._fault(str(entry))
                continue
            replaced = contents.add(entry)
            if replaced is not None and replaced.kind is not Kind.FOLDER:
                self._noticed.passed_over(REPLACED, self._uri_of(replaced))
            captions.note(entry)
            if len(contents) >= _MEMBERS_AT_A_TIME or captions.num_bytes >= _CAPTION_BYTES:
                yield contents, captions
                contents, captions = TarContents(), TarCaptions(file)
        yield contents, captions

    def images(self, contents: TarContents, captions: TarCaptions) -> Iterator[ImageRef]:
        """Yield the images, then count the files that are none and belong to none."""
        others: list[tuple[str, Member]] = []
        own = own_folders((key for key, _ in contents.items()), captions.beginning_of(contents))
        samples = Samples(key for key, member in contents.items() if self._keeps(member.name))
        for key, member in contents.items():
            if member.kind is Kind.FOLDER:
                continue
            kind = _kind_not_listed(member) or (own_kind(key, own) if own else None)
            if kind is not None:
                self._noticed.passed_over(kind, self._uri_of(member))
            elif self._keeps(member.name) and samples.is_beside(key):
                self._noticed.passed_over(BESIDE, self._uri_of(member))
            elif self._keeps(member.name):
                yield from self._listed(key, member, contents, captions)
            else:
                others.append((key, member))
        for key, member in others:
            if not captions.is_used(key):
                uri = self._uri_of(member)
                self._noticed.passed_over(kind_by_name(uri), uri)

    def close(self) -> None:
        """Raise the first faults as an error if no image was listed."""
        if self._faults:
            said = "; ".join(self._faults[:_FAULTS_IN_ERROR])
            raise ConfigError(f"{self._uri} is not a readable tar: {said}")

    def _listed(
        self, key: str, member: Member, contents: TarContents, captions: TarCaptions
    ) -> Iterator[ImageRef]:
        if not self._is_new(key):
            self._noticed.passed_over(REPEATED, self._uri_of(member))
            return
        try:
            caption = captions.caption_of(key, contents)
        except ImageRejected as error:  # without its caption it would have another label
            self._fault(f"{member.name} is not listed: {error}")
            return
        try:
            file: Member | None = contents.resolved(member)
        except ImageRejected:  # said when it is read
            file = None
        self._num_images += 1
        while self._faults:
            self._noticed.fault(self._uri, self._faults.pop(0))
        uri = self._uri_of(member)
        size_bytes, data_byte = (file.size_bytes, file.data_byte) if file else (None, None)
        yield ImageRef(
            image_id(uri), uri, size_bytes, self._version, caption, offset_bytes=data_byte
        )

    def _is_new(self, key: str) -> bool:
        digest = int.from_bytes(uri_digest(key)[:8]) >> 4  # Python keeps 60 bits in 32 bytes
        is_new = digest not in self._listed_keys
        self._listed_keys.add(digest)
        return is_new

    def _uri_of(self, member: Member) -> str:
        where = self._uri if "://" in self._uri else f"file://{self._uri}"
        return f"tar://{uri_name(member.name)}::{where}"

    def _fault(self, reason: str) -> None:
        """Note a fault; of a tar that is damaged everywhere, the first ones alone."""
        self._num_faults += 1
        if self._num_faults > _MAX_FAULTS:
            return
        if self._num_faults == _MAX_FAULTS:
            reason = f"{reason}; further damages in it are not named"
        if self._num_images:
            self._noticed.fault(self._uri, reason)
        else:
            self._faults.append(reason)


def _kind_not_listed(member: Member) -> str | None:
    hidden = hidden_kind(member.name)
    return NOT_REGULAR if hidden is None and member.kind is Kind.OTHER else hidden


def read_range(ref: ImageRef, allowed: Allowed) -> bytes:
    """Read an image whose place in its tar the listing has noted.

    Raises:
        ImageRejected: the tar ends before it does.
    """
    tar = ref.uri.partition("::")[2]
    first, size = ref.offset_bytes or 0, ref.size_bytes or 0
    if is_local(tar):
        with open_regular(allowed.real_path(tar)) as file:
            file.seek(first)
            content = file.read(size)
    else:
        filesystem, path = open_source(tar, allowed.hosts_for(tar))
        content = bytes(filesystem.cat_file(path, start=first, end=first + size)) if size else b""
    return whole(ref.uri, content, size)
