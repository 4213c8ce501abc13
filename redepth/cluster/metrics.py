"""What Prometheus hears of labelling, through Ray's own metrics: images and their seconds.

Every process of a Ray cluster reports to its node, which serves them (docs/monitoring.md). On a
private instance without a dashboard they go nowhere, at no cost.
"""

from __future__ import annotations

from functools import cache

from ray.util.metrics import Counter, Histogram

from redepth.types import LabelRow

SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

KEPT = "kept"


def count(row: LabelRow) -> None:
    """Count an image that has its outcome, and the seconds it took where there are any.

    A label that is kept took its seconds in an earlier run, and is counted by that name.
    """
    _images().inc(tags={"outcome": KEPT if row.is_stored else row.outcome.value})
    if row.seconds is not None and not row.is_stored:
        _seconds().observe(row.seconds, tags={"device": row.device or "unknown"})


@cache
def _images() -> Counter:
    return Counter("redepth_images", "Images that have their outcome.", tag_keys=("outcome",))


@cache
def _seconds() -> Histogram:
    return Histogram(
        "redepth_image_seconds",
        "Seconds from reading an image to its label.",
        boundaries=list(SECONDS),
        tag_keys=("device",),
    )
