"""The order of an epoch: a permutation in blocks, cut into runs, dealt to ranks and workers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.torch_data.order import Positions, Share, Shuffling, consecutive, cut_runs, numbered

Places = tuple[Positions, Positions]


def places(*sizes: int) -> Places:
    """Return group and index of every image of groups of these sizes."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    indices = np.concatenate([np.arange(size) for size in sizes]) if sizes else groups
    return groups, indices.astype(np.int64)


@st.composite
def some_places(draw: st.DrawFn) -> Places:
    """Draw groups, of which a condition has picked some images."""
    groups, indices = places(*draw(st.lists(st.integers(1, 30), max_size=6)))
    kept = np.array(draw(st.lists(st.booleans(), min_size=len(groups), max_size=len(groups))), bool)
    return numbered(groups[kept].tolist()), indices[kept]


SHUFFLINGS = st.builds(Shuffling, st.integers(0, 99), st.integers(1, 8), st.integers(1, 4))


@given(some_places(), SHUFFLINGS, st.integers(0, 9))
def test_an_order_is_a_permutation(where: Places, shuffling: Shuffling, epoch: int) -> None:
    order = shuffling.order(*where, epoch)
    assert sorted(order) == list(range(len(where[0])))
    np.testing.assert_array_equal(order, shuffling.order(*where, epoch))


@given(some_places(), SHUFFLINGS)
def test_a_read_is_of_neighbours_in_one_group(where: Places, shuffling: Shuffling) -> None:
    groups, indices = where
    order = shuffling.order(groups, indices, epoch=0)
    runs = consecutive(groups, indices, order)
    assert [at for run in runs for at in run] == order.tolist()
    for run in runs:
        assert len(set(groups[run])) == 1
        assert np.all(np.diff(indices[run]) == 1)


def test_seed_and_epoch_change_the_order() -> None:
    where = places(40, 40)
    orders = {tuple(Shuffling(seed).order(*where, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_neighbours_are_read_together_but_not_in_every_epoch() -> None:
    groups, indices = places(64, 64)
    cuts = []
    for epoch in range(8):
        order = Shuffling(block_size=4).order(groups, indices, epoch)
        runs = consecutive(groups, indices, order)
        assert len(runs) <= 2 * (64 // 4 + 1)
        cuts.append({int(run[0]) for run in runs})
    assert len({frozenset(cut) for cut in cuts}) > 1


def test_only_the_shards_of_one_buffer_are_mixed() -> None:
    groups, indices = places(*[10] * 12)
    order = Shuffling(block_size=1, buffer_shards=3).order(groups, indices, epoch=0)
    windows = groups[order].reshape(4, 30)
    assert all(len(set(window)) == 3 for window in windows)
    assert set(windows[0]) != {0, 1, 2}, "the shards themselves come in random order"
    assert np.any(np.diff(windows[0]) < 0) and np.any(np.diff(windows[0]) > 0)


@given(st.integers(0, 60), st.integers(1, 7), st.integers(1, 4))
def test_runs_of_all_ranks_in_turn_are_the_order(num: int, batch_size: int, ranks: int) -> None:
    runs = cut_runs(np.arange(num), batch_size, ranks)
    dealt = [runs[rank::ranks] for rank in range(ranks)]
    assert len({len(of_rank) for of_rank in dealt}) <= 1 or ranks == 1
    in_turn = [run for turn in zip(*dealt, strict=True) for run in turn]
    kept = [at for run in in_turn for at in run]
    assert kept == list(range(len(kept)))
    assert num - len(kept) < (ranks * batch_size if ranks > 1 else 1)


def test_wrong_shares_and_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="below 2, got 2"):
        Share(2, 2)
    with pytest.raises(ValueError, match="at least 1"):
        Shuffling(block_size=0)
