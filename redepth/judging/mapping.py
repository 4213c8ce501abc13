"""From what an ensemble's map tells to a probability, fitted on labels whose depth is known.

P(max(d / t, t / d) < within) = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c))))

The result is a recipe's `labels.ensemble.confidence_mapping`; `redepth.confidence` has the cues and
applies it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.confidence import SMALLEST_CUE, Cue, confidence_by_cues
from redepth.config import ConfidenceMapping
from redepth.errors import ConfigError
from redepth.evaluation.calibration import fit_logistic
from redepth.judging.judgement import ImageJudgement, PixelSample
from redepth.judging.summary import Reliability, reliability

FORMULA = "1 / (1 + exp(-(intercept + sum_c weight_c * ln(max(cue_c, 1e-6)))))"
KEY = "confidence_mapping"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A mapping, judged on images that it was not fitted on.

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
            found.append("a larger spread came out as surer: the spread knows nothing here")
        if self.after.ece >= self.before.ece:
            found.append(
                "the mapping does no better than the stored confidence on images it has not seen: "
                "too few images, or images of different sorts"
            )
        return tuple(found)


def calibrate(
    images: Sequence[ImageJudgement], within: float, cues: Sequence[Cue] = (Cue.SPREAD,)
) -> Calibration:
    """Fit on one half of the images and judge on the other; halves follow from the ids alone.

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
            "least, one to fit and one to judge; label with an ensemble of two members or more"
        )
    fitted, held_out = samples[::2], samples[1::2]
    mapping = _fit(fitted, within, tuple(dict.fromkeys(cues)))
    ratio_n = np.concatenate([sample.ratio_n for sample in held_out])
    stored_n = np.concatenate([sample.confidence_n for sample in held_out])
    probability_n = confidence_by_cues({cue: _joined(held_out, cue) for cue in Cue}, mapping)
    return Calibration(
        mapping=mapping,
        num_fitted=len(fitted),
        num_held_out=len(held_out),
        before=reliability(stored_n, ratio_n, within),
        after=reliability(probability_n, ratio_n, within),
    )


def mapping_json(mapping: ConfidenceMapping, recipe: str, recipe_digest: str) -> str:
    """Return a mapping as JSON, with its formula and the recipe whose labels it was fitted on."""
    content = {
        KEY: mapping.model_dump(),
        "formula": FORMULA,
        "fitted_on": {"recipe": recipe, "digest": recipe_digest},
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


def _fit(samples: Sequence[PixelSample], within: float, cues: Sequence[Cue]) -> ConfidenceMapping:
    rows_nc = np.column_stack(
        [np.log(np.maximum(_joined(samples, cue), SMALLEST_CUE)) for cue in cues]
    )
    right_n = np.concatenate([sample.ratio_n for sample in samples]) < within
    found = fit_logistic(rows_nc, right_n)
    weights = {cue.value: weight for cue, weight in zip(cues, found.weights, strict=True)}
    return ConfidenceMapping.model_validate(
        {"within": within, "intercept": found.intercept, **weights}
    )


def _joined(samples: Sequence[PixelSample], cue: Cue) -> npt.NDArray[np.float64]:
    return np.concatenate([sample.cues[cue] for sample in samples]).astype(np.float64)
