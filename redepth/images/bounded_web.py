"""Parts of an HTTP client that `opening` needs; alone here, since importing aiohttp takes time."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponse
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from redepth.images.reading import BLOCK_BYTES, require_size

if TYPE_CHECKING:
    from redepth.images.opening import Door


class BoundedResponse(ClientResponse):
    """An answer whose body is counted while it comes, unpacked, whatever its header says."""

    def __init__(self, *args: Any, max_bytes: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._max_bytes = max_bytes

    async def read(self) -> bytes:
        """Return the body.

        Raises:
            ImageRejected: it is larger than an answer may be.
        """
        if self._body is None:
            body = io.BytesIO()  # gives its bytes away without another copy of them
            try:
                async for block in self.content.iter_chunked(BLOCK_BYTES):
                    body.write(block)
                    require_size(body.tell(), self._max_bytes, "labels.decoding.max_bytes")
            except BaseException:
                self.close()
                raise
            self._body = body.getvalue()  # as aiohttp's own read keeps it
        return await super().read()


class NamedResolver(AbstractResolver):
    """Resolve as aiohttp does, and tell the door what the named hosts resolve to."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        found = await self._inner.resolve(host, port, family)
        self._door.note(host, port, [result["host"] for result in found])
        return found

    async def close(self) -> None:
        """Release what resolving holds."""
        await self._inner.close()
