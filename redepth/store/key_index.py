"""Finding ids among a million of them by their keys: 128 bits of a hash, and no id is held.

A hundred million ids have two with one key once in 10^22 collections; ids themselves would take
twice the memory in their column alone.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_128_digest

Keys = npt.NDArray[np.uint64]
KEY_BYTES = 16
_SLICE = 65_536


class KeyIndex:
    """Tells where keys stand in a column of keys.

    It keeps the order of their first halves, and compares the second ones that these lead to.
    """

    def __init__(self, keys_n2: Keys) -> None:
        self._keys_n2 = keys_n2
        self._order = np.argsort(keys_n2[:, 0])
        self._sorted = keys_n2[self._order, 0]

    def positions(self, keys_n2: Keys) -> pa.Array:
        """Return int64 [n]: where each key stands, null where it does not."""
        found = np.full(len(keys_n2), -1)
        if len(self._order):
            first = np.searchsorted(self._sorted, keys_n2[:, 0])
            for step in range(self._longest_run):
                candidate = self._order[np.minimum(first + step, len(self._order) - 1)]
                same = (self._keys_n2[candidate] == keys_n2).all(axis=1)
                found = np.where(same, candidate, found)
        return pa.array(found, mask=found < 0)

    def repeated(self) -> Keys:
        """Return the keys that stand in the column more than once."""
        clash = np.diff(self._sorted) == 0
        suspects = np.union1d(self._order[:-1][clash], self._order[1:][clash])
        keys, counts = np.unique(self._keys_n2[suspects], axis=0, return_counts=True)
        return keys[counts > 1]

    @cached_property
    def _longest_run(self) -> int:
        """How many keys share their first half at most: nearly always 1."""
        edges = np.flatnonzero(np.diff(self._sorted) != 0) + 1
        return int(np.diff(edges, prepend=0, append=len(self._sorted)).max())


def keys_of(texts: pa.Array | pa.ChunkedArray) -> Keys:
    """Return the keys of texts, uint64 [n, 2]: the same in every process and on every machine.

    Source: XXH3, 128 bits, of the UTF-8 bytes.
    """
    utf8 = texts.cast(pa.binary())
    starts = range(0, len(utf8), _SLICE)  # as Python's own objects, some at a time
    digests = [b"".join(map(xxh3_128_digest, utf8.slice(i, _SLICE).to_pylist())) for i in starts]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
