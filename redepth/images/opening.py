"""Opening what somebody else has named: over HTTP no way into private networks, no endless body.

A server that may be asked can send the asker elsewhere, by a redirect or by what its name resolves
to. So every connection is looked at when its address is known: one into a private, link-local or
loopback network is made only to a host that was named.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from redepth.errors import ImageRejected
from redepth.filesystems import open_filesystem
from redepth.images.uris import VERSION

if TYPE_CHECKING:
    import aiohttp

Host = tuple[str, int]  # name or address, and port
WEB = ("http", "https")
_MAX_ANSWER_BYTES = 2**28  # of a page of names, or a part of a container
# And a % that encodes nothing.
_NOT_IN_ADDRESS = re.compile(r"[^!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+|%(?![0-9A-Fa-f]{2})")
_PORTS = {"http": 80, "https": 443}


def open_source(
    uri: str, hosts: frozenset[Host] | None = None, max_bytes: int = _MAX_ANSWER_BYTES
) -> tuple[Any, str]:
    """Open what a uri names: the filesystem, and the path as that filesystem calls it.

    Args:
        hosts: those that may lie in a private network; None for the uri's own.
        max_bytes: of one answer over HTTP, which may be a whole file.

    Raises:
        ValueError: no such protocol.
        ImportError: its package is not installed.
    """
    links = uri.split("::") if "://" in uri else [uri]
    protocols = {link.partition("://")[0].lower() for link in links}
    opener = _Web(web_hosts(uri) if hosts is None else hosts, max_bytes)
    # What was signed has to arrive as it was written: %2F is no /, and yarl would make one of it.
    options: dict[str, dict[str, Any]] = {
        name: {"get_client": opener, "encoded": True} for name in WEB if name in protocols
    }
    if VERSION in uri and "s3" in protocols:
        options["s3"] = {"version_aware": True}  # or s3fs gives the newest, whichever is named
    return open_filesystem("::".join(map(as_sent, links)), **options)


def as_sent(link: str) -> str:
    """Return a web address with what no address holds percent-encoded, all else as written.

    Any other link of a URL is returned as it is.

    Raises:
        ValueError: its host cannot be encoded.
    """
    protocol, is_url, rest = link.partition("://")
    if not is_url or protocol.lower() not in WEB:
        return link
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    path = _NOT_IN_ADDRESS.sub(lambda found: quote(found[0]), rest[len(host) :])
    if not host.isascii():
        import yarl

        host = yarl.URL(f"{protocol}://{host}").raw_authority
    return f"{protocol}://{_NOT_IN_ADDRESS.sub(lambda found: quote(found[0]), host)}{path}"


def web_hosts(uri: str) -> frozenset[Host]:
    """Return host and port of every link of a uri that goes over HTTP."""
    return frozenset(host for link in uri.split("::") if (host := _web_host(link)) is not None)


def _web_host(link: str) -> Host | None:
    protocol = link.partition("://")[0].lower()
    if protocol not in WEB:
        return None
    try:
        parts = urlsplit(as_sent(link))
        return (parts.hostname, parts.port or _PORTS[protocol]) if parts.hostname else None
    except ValueError:  # a port that is no number
        return None


@dataclass(frozen=True)
class _Web:
    """What fsspec makes its HTTP client with. Equal ones share a client: it goes by their repr."""

    hosts: frozenset[Host]
    max_bytes: int

    def __repr__(self) -> str:
        return f"_Web({sorted(self.hosts)}, {self.max_bytes})"

    async def __call__(self, **options: Any) -> aiohttp.ClientSession:
        import aiohttp

        from redepth.images.bounded_web import BoundedResponse, NamedResolver

        door = Door(self.hosts)
        connector = aiohttp.TCPConnector(
            resolver=NamedResolver(door),
            socket_factory=door.socket,
            use_dns_cache=False,  # or names would be resolved where the door does not see it
        )
        return aiohttp.ClientSession(
            connector=connector,
            response_class=cast("Any", partial(BoundedResponse, max_bytes=self.max_bytes)),
            **options,
        )


@dataclass
class Door:
    """Which addresses may be connected to: public ones, and those of the hosts that were named."""

    hosts: frozenset[Host]
    addresses: set[Host] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.addresses |= self.hosts  # an address in a uri is not resolved

    def note(self, host: str, port: int, addresses: list[str]) -> None:
        """Remember what a host that was named resolves to."""
        if (host.lower(), port) in self.hosts:
            self.addresses |= {(address, port) for address in addresses}

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket of a connection that is about to be opened.

        Raises:
            ImageRejected: its address is not public, and no host that was named has it.
        """
        family, kind, protocol, _, place = info
        self.require(place[0], place[1])
        return socket.socket(family=family, type=kind, proto=protocol)

    def require(self, address: str, port: int) -> None:
        """Refuse an address that is neither public nor named."""
        if (address, port) in self.addresses or _is_public(address):
            return
        raise ImageRejected(
            f"the way leads to {address}, port {port}, in a private network, where only hosts are "
            "read that were named: name it with --allow http://HOST:PORT, or in run.sources.allow"
        )


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None) or parsed
    return bool(inner.is_global and not inner.is_multicast)
