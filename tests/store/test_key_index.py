"""Keys are found exactly, whether or not their first halves clash."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.store.key_index import KeyIndex, Keys, keys_of

texts = st.lists(st.text(max_size=3), max_size=20)


def own_keys(known: list[str], num_first: int | None) -> Keys:
    """Return keys whose first halves are so few numbers; None leaves them as they are."""
    keys_n2 = keys_of(pa.array(known, pa.string())).copy()
    if num_first is not None:
        keys_n2[:, 0] %= num_first
    return keys_n2


@pytest.mark.parametrize("num_first", [None, 1, 2, 5])
@given(known=texts, asked=texts)
def test_positions_are_those_of_a_list(
    num_first: int | None, known: list[str], asked: list[str]
) -> None:
    index = KeyIndex(own_keys(known, num_first))
    found = index.positions(own_keys(asked, num_first)).to_pylist()
    for text, position in zip(asked, found, strict=True):
        assert (position is None) == (text not in known)
        assert position is None or known[position] == text
    twice = [text for text in set(known) if known.count(text) > 1]
    expected = np.unique(own_keys(twice, num_first), axis=0)
    np.testing.assert_array_equal(index.repeated(), expected)


def test_keys_are_those_of_every_process() -> None:
    keys_n2 = keys_of(pa.chunked_array([["a", "b"], [], ["photo-0123"]], pa.string()))
    assert keys_n2.tobytes().hex() == (
        "a96faf705af16834e6c632b61e964e1f"
        "4b2212e31ac97fd4575a0b1c44d8843f"
        "abec25e7f0934a2d5b3d95a854196f4b"
    )
