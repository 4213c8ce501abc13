"""From what an ensemble's map tells to a probability, fitted on labels whose depth is known.

P(max(d / t, t / d) < within) = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c))))

The result is a recipe's `labels.ensemble.confidence_mapping`; `redepth.labelling.confidence` has
the cues and applies it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.config import ConfidenceMapping
from redepth.errors import ConfigError
from redepth.evaluation.evaluate import ImageScores, PixelSample
from redepth.evaluation.summary import Reliability, reliability
from redepth.labelling.confidence import SMALLEST_CUE, Cue, confidence_by_cues
from redepth.metrics.alignments import Alignment
from redepth.metrics.calibration import fit_logistic

FORMULA = "1 / (1 + exp(-(intercept + sum_c weight_c * ln(max(cue_c, 1e-6)))))"
KEY = "confidence_mapping"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A mapping, tested on images that it was not fitted on.

    Attributes:
        before: the stored confidence taken for a probability.
        after: the mapping's probability, on the same pixels.
    """

    mapping: ConfidenceMapping
    num_fitted: int
    num_held_out: int
    before: Reliability
    after: Reliability

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what speaks against using the mapping; empty for a good one."""
        found = []
        if self.mapping.spread > 0:
            found.append("a larger spread came out as surer: the spread does not show the error")
        if self.after.ece >= self.before.ece:
            found.append(
                "the mapping does no better than the stored confidence on images it has not seen: "
                "too few images, or images of different sorts"
            )
        return tuple(found)


def calibrate(
    images: Sequence[ImageScores], within: float, cues: Sequence[Cue] = (Cue.SPREAD,)
) -> Calibration:
    """Fit on one half of the images and test on the other; only the ids decide which half.

    Args:
        within: the factor that the probability speaks of.
        cues: what it may look at; the others get a weight of 0.

    Raises:
        ConfigError: fewer than two images have a confidence.
    """
    ordered = sorted(images, key=lambda image: hashlib.sha256(image.id.encode()).digest())
    samples = [image.pixels for image in ordered if image.pixels is not None]
    if len(samples) < 2:
        raise ConfigError(
            f"{len(samples)} of {len(images)} images have a confidence: calibrating takes two at "
            "least, one to fit and one to test; label with an ensemble of two members or more"
        )
    fitted, held_out = samples[::2], samples[1::2]
    chosen = tuple(dict.fromkeys(cues))
    mapping = fit_mapping(_cues(fitted), _factors(fitted), within, chosen)
    factor_n = _factors(held_out)
    stored_n = np.concatenate([sample.confidence_n for sample in held_out])
    probability_n = confidence_by_cues(_cues(held_out), mapping)
    return Calibration(
        mapping=mapping,
        num_fitted=len(fitted),
        num_held_out=len(held_out),
        before=reliability(stored_n, factor_n, within),
        after=reliability(probability_n, factor_n, within),
    )


def fit_mapping(
    cues: Mapping[Cue, npt.NDArray[np.floating]],
    factor_n: npt.NDArray[np.floating],
    within: float,
    chosen: Sequence[Cue],
) -> ConfidenceMapping:
    """Fit the formula to pixels, all alike.

    Args:
        cues: [N] >= 0 each; one of 0 counts as 1e-6.
        factor_n: [N] >= 1, max(d / t, t / d).
        chosen: the cues that are looked at; the others get a weight of 0.
    """
    columns = [np.log(np.maximum(cues[cue].astype(np.float64), SMALLEST_CUE)) for cue in chosen]
    found = fit_logistic(np.column_stack(columns), factor_n < within)
    weights = {cue.value: weight for cue, weight in zip(chosen, found.weights, strict=True)}
    return ConfidenceMapping.model_validate(
        {"within": within, "intercept": found.intercept, **weights}
    )


def mapping_json(
    mapping: ConfidenceMapping, recipe: str, recipe_digest: str, alignments: Sequence[Alignment]
) -> str:
    """Return a mapping as JSON, with its formula and what it was fitted on.

    Args:
        recipe, recipe_digest: of the labels.
        alignments: how the labels were aligned to their ground truth.
    """
    content = {
        KEY: mapping.model_dump(),
        "formula": FORMULA,
        "fitted_on": {"recipe": recipe, "digest": recipe_digest, "alignment": list(alignments)},
    }
    return json.dumps(content, indent=2) + "\n"


def read_mapping(path: Path) -> ConfidenceMapping:
    """Read a mapping that `redepth calibrate` wrote.

    Raises:
        ConfigError: not there, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ConfidenceMapping.model_validate(content[KEY])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no mapping of redepth calibrate: {error}") from error


def _cues(samples: Sequence[PixelSample]) -> dict[Cue, npt.NDArray[np.float64]]:
    return {
        cue: np.concatenate([sample.cues[cue] for sample in samples]).astype(np.float64)
        for cue in Cue
    }


def _factors(samples: Sequence[PixelSample]) -> npt.NDArray[np.float32]:
    return np.concatenate([sample.factor_n for sample in samples])
