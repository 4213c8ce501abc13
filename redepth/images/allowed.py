"""What a list may name: its own folder, bucket or host, and what the user has named beside it.

A list can come from a stranger and be read by a scheduled run: without this it could have
`file:///etc/...`, another bucket or an address of the private network read in the run's name.

What a folder, a prefix or a glob holds is found by redepth itself and is read as it is found,
linked files included: who points at a folder points at what is linked there. Of a list's names the
target counts: `..` and links are followed before they are judged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from redepth.errors import ConfigError, PhotographNotAllowed
from redepth.images.braces import expanded, has_braces
from redepth.images.lists.readers import is_list
from redepth.images.opening import WEB, Host, web_hosts
from redepth.images.uris import canonical_uri, has_wildcards, is_local, parent_uri, protocol_of
from redepth.redaction import shown

# Links of a chained url that name something inside what the next link names. fsspec knows more:
# copies on a local disk without a limit (simplecache), files that name any others (reference), ...
_INSIDE = ("zip", "tar", "parquet")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be read.

    Attributes:
        roots: canonical folders, prefixes, origins (`https://host`) and schemes (`s3://`); None
            where redepth has found the names itself.
        who: names what is read, for messages.
        how: allows more, for messages.
    """

    roots: tuple[str, ...] | None
    who: str = "a list"
    how: str = "--allow ROOT, or in run.sources.allow"

    def require(self, uri: str) -> None:
        """Refuse a canonical uri that is not below a root, by every link of it.

        Raises:
            PhotographNotAllowed: names the uri, the roots, and where to allow more.
        """
        if self.roots is None:
            return
        *inside, place = uri.split("::") if "://" in uri else [uri]
        for link in inside:
            protocol = link.partition("://")[0].lower()
            if protocol not in _INSIDE:
                raise PhotographNotAllowed(
                    f"{shown(uri)}: {self.who} may name parts of {', '.join(_INSIDE)} files, and "
                    f"{protocol!r} is none of them; name the file itself"
                )
        if len(inside) > 1:
            raise PhotographNotAllowed(
                f"{uri}: {self.who} may name no archive within an archive; unpack one"
            )
        if not any(_lies_below(place, root) for root in self.roots):
            raise PhotographNotAllowed(
                f"{shown(uri)}: {self.who} may name what lies below {', '.join(self.roots)}, and "
                f"this does not; allow where it lies with {self.how}"
            )

    def allows(self, uri: str) -> bool:
        """Whether `require` lets a canonical uri pass."""
        try:
            self.require(uri)
        except PhotographNotAllowed:
            return False
        return True

    def as_of(self, file_uri: str) -> Allowed:
        """Return what a file that redepth has found itself may name: as a list that lies there."""
        return self if self.roots is not None else Allowed((_own_root(canonical_uri(file_uri)),))

    def real_path(self, uri: str) -> str:
        """Return the path to open for a local uri: what was judged, links followed."""
        path = uri.removeprefix("file://")
        return path if self.roots is None else os.path.realpath(path)

    def hosts_for(self, uri: str) -> frozenset[Host]:
        """Return the hosts that may lie in a private network: those that the user has named."""
        if self.roots is None:
            return web_hosts(uri)
        return frozenset(host for root in self.roots for host in web_hosts(root))


ANYTHING = Allowed(None)


def allowed_for(source: str, allow: Sequence[str] = ()) -> Allowed:
    """Return what may be read of a collection.

    Of several, by braces, lists may name what lies where the others do, too: the user named it.

    Args:
        source: as `list_images` takes it.
        allow: roots that a list may name beside its own folder, bucket or host.

    Raises:
        ConfigError: a root that is none.
    """
    named = _named(source)
    if not any(map(is_list, named)):
        return ANYTHING
    return Allowed((*roots_of(source), *(_root(text) for text in allow)))


def roots_of(source: str) -> tuple[str, ...]:
    """Return the folders, prefixes or hosts that a collection's photographs lie below.

    Of a list these are what it may name by itself.
    """
    own = (_own_root(one) if is_list(one) else _named_root(one) for one in _named(source))
    return tuple(dict.fromkeys(own))


def _named(source: str) -> list[str]:
    """Return what a source names: itself, or each that its braces stand for."""
    uri = canonical_uri(source)
    named = list(expanded(uri)) if has_braces(uri) else [uri]
    if has_braces(uri) and is_list(uri):
        named.append(uri)  # a list may really be called so
    return named


def allowed_for_labels(labels: str, allow: Sequence[str] = ()) -> Allowed:
    """Return what may be read of the photographs that the rows of an output name.

    Files of this machine, and what lies in the labels' own bucket or host. Whoever sent the labels
    may have written any path into them; a local file is only compared with the sha256 of its row,
    and what does not have it is never decoded. A request to another host is not made unasked.

    Args:
        labels: the output's URL.
        allow: roots beside these.

    Raises:
        ConfigError: a root that is none.
    """
    url = canonical_uri(labels)
    own = () if is_local(url) else (_own_root(url),)
    roots = ("/", *own, *(_root(text) for text in allow))
    return Allowed(roots, "labels", "--allow ROOT (in Python, allow=[ROOT])")


def _own_root(list_uri: str) -> str:
    """Return the folder a local list lies in, else the bucket or host."""
    place = list_uri.rpartition("::")[2] if "://" in list_uri else list_uri
    if is_local(place):
        path = place.removeprefix("file://")
        if has_wildcards(path) and not Path(path).exists():
            path = f"{path.partition('*')[0].partition('[')[0].partition('?')[0]}x"
        return os.path.realpath(parent_uri(os.path.realpath(path)))
    protocol, _, rest = place.partition("://")
    return f"{protocol}://{rest.partition('/')[0]}"


def _named_root(uri: str) -> str:
    """Return the folder or prefix that a source without a list is of."""
    place = uri.rpartition("::")[2] if "://" in uri else uri
    if is_local(place):
        path = place.removeprefix("file://")
        return os.path.realpath(path) if Path(path).is_dir() else _own_root(place)
    start, *rest = re.split(r"[*?[{]", place, maxsplit=1)
    return parent_uri(start) if rest else start


def _root(text: str) -> str:
    """Return the one form of a root.

    Raises:
        ConfigError: it is empty, or a chained url.
    """
    if not text.strip() or "::" in text:
        raise ConfigError(
            f"{text!r} is nothing that a list can be allowed to name (--allow, run.sources.allow): "
            "give a folder, a prefix such as s3://bucket/photos, a host such as "
            "https://example.org, or a scheme such as https://"
        )
    if is_local(text):
        return os.path.realpath(canonical_uri(text))
    return canonical_uri(text)


def _lies_below(place: str, root: str) -> bool:
    if is_local(place) != is_local(root):
        return False
    if is_local(place):
        path = os.path.realpath(place.removeprefix("file://"))
        return path == root or path.startswith(f"{root.rstrip('/')}/")
    if protocol_of(place) != protocol_of(root):
        return False
    if root.endswith("://"):
        return True
    if protocol_of(place) in WEB:
        return _is_below_on_web(place, root)
    return place == root or place.startswith(f"{root.rstrip('/')}/")


def _is_below_on_web(place: str, root: str) -> bool:
    """Compare host, port and path; a name that clients may read in two ways is below nothing."""
    if "\\" in place or "@" in urlsplit(place).netloc or web_hosts(place) != web_hosts(root):
        return False
    path, folder = (unquote(urlsplit(url).path).rstrip("/") for url in (place, root))
    return ".." not in path.split("/") and f"{path}/".startswith(f"{folder}/")
