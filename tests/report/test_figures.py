"""Sums over the catalogue: right, independent of how rows come, and bounded in memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.report.figures import (
    COLUMNS,
    MAX_REASONS,
    NUM_EACH,
    NUM_RANDOM,
    NUM_TROUBLES,
    OTHER_REASONS,
    Group,
    Histogram,
    reason_pattern,
    sum_up,
)
from redepth.store.rows import SCHEMA
from redepth.types import DepthKind, Outcome

TABLE_SCHEMA = SCHEMA.empty_table().select(list(COLUMNS)).schema


def rows(first: int, number: int) -> pa.Table:
    """Make rows whose values follow from their numbers; every 10th fell back, 50th failed."""
    numbers = np.arange(first, first + number)
    drifts, sure = (numbers * 7919 % 1000) / 1000, (numbers * 104729 % 1000) / 1000
    outcomes = [
        "failed" if n % 50 == 0 else "fell_back" if n % 10 == 0 else "refined" for n in numbers
    ]
    labelled = np.array([outcome != "failed" for outcome in outcomes])
    return pa.table(
        {
            "id": [f"image-{n:08}" for n in numbers],
            "uri": [f"s3://bucket/{n:08}.jpg" for n in numbers],
            "outcome": outcomes,
            "reason": [None if o == "refined" else f"lost {len(o)} of it" for o in outcomes],
            "kind": [DepthKind.AFFINE_DISPARITY.value if has else None for has in labelled],
            "drift": pa.array(drifts, mask=~labelled),
            "rank_correlation": pa.array(drifts, mask=~labelled),
            "mean_confidence": pa.array(sure, mask=np.array([o != "refined" for o in outcomes])),
            "refined_by": [("thorough" if n % 4 == 0 else "quick") if n >= 100 else None
                           for n in numbers],
            "seconds": np.full(number, 2.0),
            "read_seconds": pa.array(np.full(number, 1.0), mask=numbers % 2 == 0),
            "waited_seconds": np.full(number, 3.0),
            "model_seconds": pa.array(np.full(number, 0.5), mask=numbers % 2 == 0),
            "device": ["cuda"] * number,
            "shard": [f"{n // 32:06}" for n in numbers],
        },
        schema=TABLE_SCHEMA,
    )  # fmt: skip


def test_figures_are_those_of_numpy() -> None:
    table = rows(0, 1000)
    figures = sum_up([table])
    assert figures.outcomes == {
        Outcome.REFINED: 900, Outcome.FELL_BACK: 80, Outcome.REJECTED: 0, Outcome.FAILED: 20
    }  # fmt: skip
    drift = table["drift"].drop_null().to_numpy()
    assert figures.drift.num_values == 980
    assert figures.drift.mean == pytest.approx(drift.mean())
    assert figures.drift.quantile(0.5) == pytest.approx(np.median(drift), abs=0.002)
    assert figures.methods == {"thorough": 225, "quick": 675}
    assert figures.stages.num_timed == 980
    assert figures.stages.own == 2.0 * 500
    assert figures.stages.model == 0.5 * 500
    assert figures.stages.whole == 2.0 * 480, "rows of before there were stages"
    assert figures.reasons == {
        (Outcome.FELL_BACK, "lost N of it"): 80, (Outcome.FAILED, "lost N of it"): 20
    }  # fmt: skip


def test_the_chosen_are_the_extremes() -> None:
    table = rows(0, 1000)
    chosen = sum_up([table]).chosen
    refined = [line for line in table.to_pylist() if line["outcome"] == "refined"]
    surest = sorted(refined, key=lambda line: (-line["mean_confidence"], line["id"]))[:NUM_EACH]
    assert chosen[Group.SUREST]["id"].to_pylist() == [line["id"] for line in surest]
    changed = sorted(refined, key=lambda line: (-line["drift"], line["id"]))[:NUM_EACH]
    assert chosen[Group.CHANGED]["id"].to_pylist() == [line["id"] for line in changed]
    assert set(chosen[Group.FELL_BACK]["outcome"].to_pylist()) == {"fell_back"}
    assert set(chosen[Group.TROUBLE]["outcome"].to_pylist()) == {"failed"}


@given(cuts=st.lists(st.integers(0, 300), max_size=6))
def test_figures_do_not_depend_on_how_the_rows_are_cut(cuts: list[int]) -> None:
    table = rows(0, 300)
    edges = [0, *sorted(cuts), 300]
    whole = sum_up([table])
    cut = sum_up(table.slice(a, b - a) for a, b in pairwise(edges))
    assert cut.outcomes == whole.outcomes
    assert cut.reasons == whole.reasons
    assert cut.methods == whole.methods
    np.testing.assert_array_equal(cut.drift.counts, whole.drift.counts)
    for group in Group:
        assert cut.chosen[group]["id"].to_pylist() == whole.chosen[group]["id"].to_pylist()


def test_memory_does_not_grow_with_the_rows() -> None:
    seen: list[int] = []

    def tables() -> Iterator[pa.Table]:
        for start in range(0, 200_000, 2000):
            seen.append(pa.total_allocated_bytes())
            yield rows(start, 2000)

    figures = sum_up(tables())
    assert figures.num_images == 200_000
    assert max(seen) - seen[0] < 4_000_000, "one table is 0.4 MB, all of them are 40"
    numbers = {group: len(table) for group, table in figures.chosen.items()}
    assert numbers[Group.TROUBLE] == NUM_TROUBLES
    assert numbers[Group.RANDOM] == NUM_RANDOM
    assert numbers[Group.SUREST] == NUM_EACH


def test_reasons_of_another_world_are_bounded() -> None:
    words = ["".join(chr(97 + int(d)) for d in str(n)) for n in range(1000)]
    table = rows(0, 1000).set_column(3, "reason", pa.array(words))
    reasons = sum_up([table]).reasons
    assert len(reasons) <= MAX_REASONS
    assert sum(reasons.values()) == 1000
    assert any(reason == OTHER_REASONS for _, reason in reasons)


@pytest.mark.parametrize(
    ("reason", "pattern"),
    [
        ("truncated (8 bytes not processed)", "truncated (N bytes not processed)"),
        ("s3://bucket/a.jpg is no longer there", "(file) is no longer there"),
        ("rank correlation 0.31 < 0.5", "rank correlation N < N"),
    ],
)
def test_a_reason_loses_what_differs_from_image_to_image(reason: str, pattern: str) -> None:
    assert reason_pattern(reason) == pattern


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=200), share=st.floats(0, 1))
def test_a_quantile_is_right_to_within_a_bin(values: list[float], share: float) -> None:
    edges = np.linspace(0, 1, 101)
    counts, _ = np.histogram(values, edges)
    found = Histogram(edges, counts).quantile(share)
    ordered = np.sort(values)
    exact = ordered[max(int(np.ceil(share * len(values) - 1e-9)) - 1, 0)]
    assert abs(found - exact) <= 0.0101


@given(high=st.floats(0.001, 1.0), max_bins=st.integers(1, 40))
def test_a_shown_histogram_keeps_what_it_covers(high: float, max_bins: int) -> None:
    edges = np.linspace(0, 1, 201)
    counts = np.arange(200)
    shown = Histogram(edges, counts).shown(high, max_bins)
    assert len(shown.counts) <= max_bins
    assert shown.edges[-1] >= high - 1e-9
    assert shown.num_values == counts[edges[:-1] < shown.edges[-1] - 1e-9].sum()


def test_nothing_is_a_catalogue_too() -> None:
    figures = sum_up([])
    assert figures.num_images == 0
    assert figures.drift.num_values == 0
