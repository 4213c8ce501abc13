"""What a confidence and bounds mean, in the words that sidecars, cards and reports share."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from redepth.confidence.mapping import ConfidenceMapping, Guarantee, Intervals
from redepth.quantities import CONFIDENCE, LOWER, UPPER, confidence_words

_SPACE = {
    True: "in metres, not aligned",
    False: "in refined's own numbers, after least-squares scale and shift there",
}
_GUARANTEES: dict[Guarantee, str] = {
    "pixels": "of the pixels of new images on average",
    "deciles": "of the pixels of new images on average, at every tenth of the confidence",
    "images": "of the pixels of an image, in the same share of new images",
}
_ALIKE = (
    "images like the {number}calibrated on, labelled with the same recipe; on others a guess that "
    "redepth evaluate can test"
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the numbers of a quantity say.

    Attributes:
        sense: in words.
        range: of the values.
        unit: of the values.
        domain: for which labels it holds.
    """

    sense: str
    range: str
    unit: str
    domain: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.sense}; {self.range}; unit: {self.unit}; holds for {self.domain}"

    def as_json(self) -> dict[str, str]:
        """Return the four as plain values."""
        return asdict(self)


def meanings_of(
    mapping: ConfidenceMapping | None, intervals: Intervals | None
) -> dict[str, Meaning]:
    """Return what the confidence, and the bounds if there are any, of a recipe mean, by name."""
    found = {CONFIDENCE.name: _confidence(mapping, intervals)}
    if intervals is not None:
        found |= {one.name: _bound(one.name, intervals) for one in (LOWER, UPPER)}
    return found


def _confidence(mapping: ConfidenceMapping | None, intervals: Intervals | None) -> Meaning:
    if mapping is None:
        domain = "labels of two members or more; the order of an image's pixels, not their error"
    else:
        domain = _alike(intervals)
    sense = confidence_words(None if mapping is None else mapping.within)
    return Meaning(sense, "0 to 1, larger is surer; NaN is unknown", "share", domain)


def _bound(name: str, own: Intervals) -> Meaning:
    end = "from below" if name == LOWER.name else "from above"
    return Meaning(
        sense=f"bounds the true depth {end}: it lies from lower to upper for {own.coverage:.0%} "
        f"{_GUARANTEES[own.guarantee]}, {_SPACE[own.is_metric]}",
        range="above 0, lower <= refined <= upper; NaN is unknown"
        if own.is_metric
        else "lower <= refined <= upper; of a disparity lower is the far end, at infinity where it "
        "aligns to 0 or less; NaN is unknown",
        unit="m" if own.is_metric else "that of refined: scale and shift are unknown",
        domain=_alike(own),
    )


def _alike(intervals: Intervals | None) -> str:
    number = "those " if intervals is None else f"{intervals.num_images} "
    return _ALIKE.format(number=number)
