"""Ids are found exactly, hash clashes or not."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.store import id_index
from redepth.store.id_index import IdIndex, id_hashes

ids = st.lists(st.text(alphabet="abc", max_size=3), max_size=20)


def _few(image_id: str) -> int:
    return len(image_id) % 2


@pytest.mark.parametrize("own_hash", [hash, _few, lambda _: 2**63 - 1])
@given(known=ids, asked=ids)
def test_positions_are_those_of_a_list(
    own_hash: Callable[[str], int], known: list[str], asked: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_index, "hash", own_hash, raising=False)
        index = IdIndex(pa.array(known, pa.string()))
        asked_for = pa.array(asked, pa.string())
        found = index.positions(asked_for, id_hashes(asked_for)).to_pylist()
        repeated = index.repeated()
    for image_id, position in zip(asked, found, strict=True):
        assert (position is None) == (image_id not in known)
        assert position is None or known[position] == image_id
    assert sorted(repeated) == sorted({one for one in known if known.count(one) > 1})
