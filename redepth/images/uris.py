"""One name for one file, however a person spells it, and the id that follows from it.

The canonical form is what fsspec opens and what a person can read:

- local: the absolute POSIX path, without `file://`, `~/`, `.` or `..`; symbolic links in the folder
  part are resolved, the file's own name is kept (a link to a blob keeps the name a person gave).
  What follows `file://` is percent-decoded, as `Path.as_uri` encodes it; a plain path is itself;
- elsewhere: the URL with a lower-case protocol (`s3a` is `s3`, `gcs` is `gs`), `.` and `..`
  resolved, the rest untouched, since `a//b` and `a/b` are two keys of a bucket;
- a chained URL (`zip://a.jpg::s3://bucket/all.zip`): protocols in lower case, and a path at its end
  absolute; the rest as given.
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

_SAME_PROTOCOL = {"s3a": "s3", "gcs": "gs"}
_ID_STEM_LENGTH = 40
_PROTOCOL = re.compile(r"(?:(?<=^)|(?<=::))[A-Za-z][A-Za-z0-9+.-]*(?=://|::)")
# RFC 8089 knows one slash too, and the machine's own name.
_FILE_URL = re.compile(r"file:(?://localhost(?=/)|//|(?=/))", re.IGNORECASE)
_MISTYPED = re.compile(
    r"(s3|s3a|gs|gcs|az|abfss?|https?|ftp|hf):/(?:(?=[^/])|//(?=[^/]))", re.IGNORECASE
)
VERSION = "?versionId="  # of an object, behind its key
_NOT_IN_SLUG = re.compile(r"[^A-Za-z0-9._-]+")


def image_id(uri: str) -> str:
    """Return `{stem}-{16 hex}`: the name for the eye, the canonical uri's sha256 for the truth."""
    return canonical_id(canonical_uri(uri))


def canonical_id(canonical: str) -> str:
    """Return the id of what a canonical uri names; of a million of them, in seconds."""
    name = canonical.partition("::")[0].rpartition("/")[2]
    slug = _NOT_IN_SLUG.sub("_", posixpath.splitext(name)[0])[:_ID_STEM_LENGTH].strip("_")
    return f"{slug or 'image'}-{uri_digest(canonical).hex()[:16]}"


def uri_digest(canonical: str) -> bytes:
    """Return the sha256 of a canonical uri; of a name that is not valid Unicode too."""
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).digest()


def canonical_uri(uri: str, base: str = "") -> str:
    """Return the one form of a uri that ids are made of; idempotent.

    Args:
        uri: a path or URL, perhaps relative.
        base: canonical folder that relative paths start from; "" is the working directory.
            An absolute path is a path of this machine, wherever the list that names it lies.
    """
    if "::" in uri and "://" in uri:
        return _canonical_chain(uri, base)
    if is_local(uri):
        path = _without_file_protocol(uri)
        if is_local(base) or path.startswith("/"):
            return _canonical_path(posixpath.join(base, path))
        uri = f"{base.rstrip('/')}/{path}"
    protocol, _, rest = uri.partition("://")
    protocol = protocol.lower()
    return f"{_SAME_PROTOCOL.get(protocol, protocol)}://{_without_dots(rest)}"


def is_local(uri: str) -> bool:
    """Whether the uri is a path of this machine, with or without `file://`."""
    return "://" not in uri or ("::" not in uri and protocol_of(uri) in ("file", "local"))


def protocol_of(uri: str) -> str:
    """Return the protocol fsspec is asked for: "file" for a plain path."""
    protocol, has_protocol, _ = uri.partition("://")
    return protocol.partition("::")[0].lower() if has_protocol else "file"


def has_wildcards(uri: str) -> bool:
    """Whether the uri is a glob."""
    links = uri.split("::") if "://" in uri else [uri]
    return any(sign in _without_query(link) for link in links for sign in "*?[")


def file_name(uri: str) -> str:
    """Return the part of a uri that ends in the file's own suffix, in lower case.

    Without what follows in a chained URL, the query of a web address and the version of an object.
    """
    return _without_query(uri.partition("::")[0] if "://" in uri else uri).lower()


def mistyped(uri: str) -> str | None:
    """Return what a uri was probably meant to be: `s3:/bucket/a.jpg` has lost a slash.

    A file in a folder of this name is called by `./s3:/a.jpg`.
    """
    found = _MISTYPED.match(uri)
    return None if found is None else f"{found[1]}://{uri[found.end() :]}"


def _without_query(uri: str) -> str:
    """Return a uri without what a question mark begins in it, where that is no wildcard."""
    if protocol_of(uri) in ("http", "https"):
        return uri.partition("?")[0]
    return uri.partition(VERSION)[0] if "://" in uri else uri


def parent_uri(uri: str) -> str:
    """Return the folder that a canonical uri lies in."""
    return uri.rpartition("/")[0] or "/"


def _canonical_chain(uri: str, base: str) -> str:
    *inside, place = _PROTOCOL.sub(lambda found: found[0].lower(), uri).split("::")
    if place and "://" not in place:
        place = canonical_uri(place, base)
    return "::".join((*inside, place))


def _without_file_protocol(uri: str) -> str:
    path = uri.partition("://")[2] if "://" in uri else uri
    if _FILE_URL.match(uri):
        path = os.fsdecode(unquote_to_bytes(_FILE_URL.sub("", uri)))
    if path != "~" and not (path.startswith("~") and "/" in path):
        return path  # ~x.jpg is a file
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # there is no such user
        return path


def _canonical_path(path: str) -> str:
    absolute = path if path.startswith("/") else posixpath.join(Path.cwd(), path)
    folder, _, name = absolute.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return real_folder(f"{folder}/{name}")
    return posixpath.join(real_folder(folder or "/"), name)


@functools.lru_cache(maxsize=4096)
def real_folder(folder: str) -> str:
    """Return an absolute folder's own path, symbolic links resolved."""
    try:
        return os.path.realpath(folder)  # Path.resolve is five times slower
    except ValueError:  # a NUL, or half a surrogate pair: no folder is called so
        return posixpath.normpath(folder)


def _without_dots(path: str) -> str:
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and len(kept) > 1:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
    return "/".join(kept)
