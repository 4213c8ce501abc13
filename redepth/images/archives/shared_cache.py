"""What is read once of a container, an index or a row group, for all threads that read from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

_NUM_LOCKS = 16


class SharedCache(Generic[T]):
    """`functools.lru_cache`, but that what one thread is reading the others wait for.

    Left to itself it has each of them read the same, and hold it in memory meanwhile.
    """

    def __init__(self, read: Callable[..., T], maxsize: int) -> None:
        self.cached = lru_cache(maxsize=maxsize)(read)
        self._unlock()
        os.register_at_fork(after_in_child=self._unlock)  # the threads that read are the parent's

    def __call__(self, *key: Hashable) -> T:
        """Return what `read` returns of the key; of an error nothing is kept."""
        with self._locks[hash(key) % _NUM_LOCKS]:
            return self.cached(*key)

    def _unlock(self) -> None:
        self._locks = tuple(threading.Lock() for _ in range(_NUM_LOCKS))


def shared_cache(maxsize: int) -> Callable[[Callable[..., T]], SharedCache[T]]:
    """Make a `SharedCache` of a function, which keeps its last results."""
    return lambda read: SharedCache(read, maxsize)
