"""Which images a teacher labels: drawn whatever their order, spread over what there is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from redepth.distillation.choosing import choose, describe_map, draw_candidates
from redepth.types import ImageRef

IDS = st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=30)


def refs(ids: list[str]) -> list[ImageRef]:
    return [ImageRef(image, f"/photos/{image}.jpg") for image in ids]


@given(IDS, st.integers(1, 40), st.randoms())
def test_candidates_do_not_depend_on_the_order(ids: set[str], count: int, random: object) -> None:
    ordered = sorted(ids)
    drawn = draw_candidates(refs(ordered), count)
    assert drawn == draw_candidates(refs(ordered[::-1]), count)
    assert len(drawn) == min(count, len(ids))
    assert set(drawn) <= set(refs(ordered))
    assert draw_candidates(refs(ordered), count + 1)[:count] == drawn  # more are more of the same


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_as_many_are_chosen_as_there_may_be_each_once(total: int, count: int, seed: int) -> None:
    found = choose(np.random.default_rng(seed).normal(size=(total, 3)), count)
    assert len(found) == len(set(found)) == min(total, count)
    assert found == sorted(found)
    assert found[0] >= 0 and found[-1] < total


def test_a_rare_kind_is_seen() -> None:
    """Two of 500 images are of another kind; drawn at random, 10 would mostly miss them."""
    descriptors = np.random.default_rng(0).normal(size=(500, 4))
    descriptors[[333, 444]] += 50.0
    assert {333, 444} & set(choose(descriptors, 10))


def test_a_descriptor_knows_neither_scale_nor_shift_nor_size() -> None:
    rows, columns = np.mgrid[0:64, 0:96].astype(np.float32)
    map_hw = np.sin(rows / 9) + columns / 40
    own = describe_map(map_hw)
    np.testing.assert_allclose(describe_map(3 * map_hw + 7), own, atol=1e-4)
    doubled = np.repeat(np.repeat(map_hw, 2, 0), 2, 1)
    np.testing.assert_allclose(describe_map(doubled)[:64], own[:64], atol=1e-2)
    assert np.abs(describe_map(map_hw[::-1]) - own).max() > 0.2


def test_a_map_with_holes_has_a_descriptor() -> None:
    map_hw = np.arange(256, dtype=np.float32).reshape(16, 16)
    map_hw[:4] = np.nan
    assert np.isfinite(describe_map(map_hw)).all()
    assert np.isfinite(describe_map(np.ones((16, 16), np.float32))).all()
