"""Processing sizes against recorded ones, and what holds for every picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.geometry.sizes import SizeRule, UpperBound, input_size

SIDES = st.integers(1, 20_000)

# (width, height) -> (new width, new height) for 518 px and multiples of 14, recorded from the
# authors' released maths.
RECORDED: dict[SizeRule, list[tuple[int, int, int, int]]] = {
    "upper_bound": [
        (518, 518, 518, 518),
        (640, 480, 518, 392),
        (1242, 375, 518, 154),
        (1024, 768, 518, 392),
        (333, 777, 224, 518),
        (1920, 1080, 518, 294),
        (480, 640, 392, 518),
    ],
    "lower_bound": [
        (518, 518, 518, 518),
        (640, 480, 686, 518),
        (1242, 375, 1722, 518),
        (1024, 768, 686, 518),
        (333, 777, 518, 1204),
        (1920, 1080, 924, 518),
        (480, 640, 518, 686),
    ],
    "minimal": [
        (518, 518, 518, 518),
        (640, 480, 686, 518),
        (1242, 375, 1722, 518),
        (1024, 768, 686, 518),
        (333, 777, 224, 518),
        (1920, 1080, 924, 518),
        (480, 640, 518, 686),
    ],
}


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, case) for rule, cases in RECORDED.items() for case in cases]
)
def test_agrees_with_the_recorded_sizes(rule: SizeRule, case: tuple[int, int, int, int]) -> None:
    width, height, new_width, new_height = case
    assert input_size(width, height, rule=rule) == (new_width, new_height)


@given(SIDES, SIDES, st.integers(14, 1200))
def test_upper_bound_is_kept_and_reached(width: int, height: int, size: int) -> None:
    new = input_size(width, height, size)
    assert all(side % 14 == 0 and 14 <= side <= size for side in new)
    longer = new[0] if width >= height else new[1]
    assert longer == size // 14 * 14


@given(SIDES, SIDES, st.integers(14, 1200))
def test_lower_bound_is_kept(width: int, height: int, size: int) -> None:
    new = input_size(width, height, size, rule="lower_bound")
    assert all(side % 14 == 0 and side >= size for side in new)


@given(SIDES, SIDES)
def test_turning_the_picture_turns_the_size(width: int, height: int) -> None:
    assert input_size(width, height) == input_size(height, width)[::-1]


@given(st.integers(100, 5000), st.integers(100, 5000))
def test_aspect_is_kept_to_half_a_patch(width: int, height: int) -> None:
    new_width, new_height = input_size(width, height)
    scale = 518 / max(width, height)
    for new, old in ((new_width, width), (new_height, height)):
        assert abs(new - old * scale) <= 7 + 1e-6 or new == 14


@pytest.mark.parametrize(("width", "height"), [(20_000, 1), (1, 20_000), (5000, 40)])
def test_a_sliver_still_fills_one_patch(width: int, height: int) -> None:
    assert sorted(input_size(width, height)) == [14, 518]


@pytest.mark.parametrize(("width", "height", "size"), [(0, 5, 518), (5, -1, 518), (5, 5, 13)])
def test_nonsense_is_refused(width: int, height: int, size: int) -> None:
    with pytest.raises(ValueError, match="expected sides"):
        input_size(width, height, size)


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_an_upper_bound_is_the_rule_of_that_name_with_height_first(height: int, width: int) -> None:
    assert UpperBound(518, 14)(height, width) == input_size(width, height)[::-1]
