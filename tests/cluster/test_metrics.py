"""What Prometheus hears of an image that has its outcome."""

from __future__ import annotations

import pytest

from redepth.cluster import metrics
from redepth.types import LabelRow, Outcome


class Heard:
    """Stands in for Ray's counter and histogram."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.seconds: list[float] = []

    def inc(self, tags: dict[str, str]) -> None:
        self.outcomes.append(tags["outcome"])

    def observe(self, value: float, tags: dict[str, str]) -> None:
        self.seconds.append(value)


def test_a_kept_label_is_counted_as_kept_and_its_seconds_are_not_this_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard()
    monkeypatch.setattr(metrics, "_images", lambda: heard)
    monkeypatch.setattr(metrics, "_seconds", lambda: heard)
    metrics.count(LabelRow(id="a", uri="a", outcome=Outcome.REFINED, seconds=2.0))
    metrics.count(LabelRow(id="b", uri="b", outcome=Outcome.FAILED))
    metrics.count(
        LabelRow(id="c", uri="c", outcome=Outcome.REFINED, seconds=9.0, array_group="s-0")
    )
    assert (heard.outcomes, heard.seconds) == (["refined", "failed", "kept"], [2.0])
