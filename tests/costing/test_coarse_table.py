"""The table of coarse models: every one is in it, with what is known and what is not."""

from __future__ import annotations

import pytest

from redepth.coarse import coarse_models
from redepth.costing.coarse_table import CoarseLine, coarse_lines
from redepth.costing.estimate import USUAL_SHARE


@pytest.fixture(scope="module")
def lines() -> dict[str, CoarseLine]:
    return {line.name: line for line in coarse_lines("NVIDIA L4")}


def test_every_model_is_listed(lines: dict[str, CoarseLine]) -> None:
    assert list(lines) == list(coarse_models.names())


def test_seconds_are_operations_at_the_usual_share_of_the_limits(
    lines: dict[str, CoarseLine],
) -> None:
    line = lines["depth-anything-v2-small"]
    assert line.tera_flops is not None
    # An L4 promises 60 TFLOP/s in float32 (TF32).
    assert line.seconds == pytest.approx(line.tera_flops / 60 / USUAL_SHARE)
    assert not line.is_measured
    assert (line.parameters, line.licence) == ("25 M", "Apache-2.0")


def test_what_nobody_counted_is_said(lines: dict[str, CoarseLine]) -> None:
    line = lines["zoedepth"]
    assert (line.tera_flops, line.seconds, line.parameters) == (None, None, "not counted")
    assert line.gives == "depth in metres"


def test_a_card_without_known_limits_has_no_seconds() -> None:
    assert all(line.seconds is None for line in coarse_lines("an unknown card"))
