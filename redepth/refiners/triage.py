"""Triage: which images are worth an expensive method, told from what a cheap one predicts of them.

A cheap refiner that was distilled from an expensive one predicts, of each image, how much the
expensive one would change (`Members.predicted_gain`). On held-out images the change itself is
known. A triage is fitted to both once, written beside the cheap refiner's weights as `triage.json`,
and from then on a share of images stands for a threshold of the predicted gain. So an image is
sent one way or the other by its own value alone, whatever else is labelled.

Shares are of a collection like the one that was distilled from: of another one, another share of
images lies above the same threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from redepth.errors import ConfigError
from redepth.settings import PublishedWeights, Settings, UnitInterval, Weights
from redepth.types import ModelCard
from redepth.weights import resolve_weights

FILE = "triage.json"
ROLE = "triage"
SHARES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
_MAX_BYTES = 2**20
_Values = npt.NDArray[np.float64]


class Teacher(Settings):
    """The recipe of the expensive labels that a triage was fitted to."""

    recipe: str = Field(min_length=1, max_length=1000, description="its name")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its `labels` half")


class Budget(Settings):
    """What refining a share of the images expensively brings.

    Attributes:
        share: of the images, in [0, 1].
        threshold: predicted gain above which that share of the held-out images lies, as a share of
            the coarse map's range.
        expected_gain: what these images' changes are of the changes of all, in [0, 1].
    """

    share: UnitInterval
    threshold: float = Field(ge=0, allow_inf_nan=False)
    expected_gain: UnitInterval


class Triage(Settings):
    """The fitted table, `triage.json`.

    Attributes:
        budgets: by rising share, from 0 to 1; thresholds do not rise, expected gains do not fall.
        num_images: held-out images that it was fitted to.
        teacher: whose labels these images had.
    """

    budgets: tuple[Budget, ...] = Field(min_length=2, max_length=1000)
    num_images: int = Field(ge=1)
    teacher: Teacher

    @model_validator(mode="after")
    def _ordered(self) -> Triage:
        shares, thresholds, gains = self._columns()
        if shares[0] != 0.0 or shares[-1] != 1.0 or (np.diff(shares) <= 0).any():
            raise ValueError("budgets must be by rising share, the first of 0 and the last of 1")
        if (np.diff(thresholds) > 0).any() or (np.diff(gains) < 0).any():
            raise ValueError("a larger share must not have a higher threshold or a smaller gain")
        return self

    def threshold(self, share: float) -> float:
        """Return the predicted gain above which a share of images like the held-out ones lies.

        Between two budgets it is interpolated linearly in the logarithm of the share, since the
        images with much to gain are few; between share 0 and the smallest other one linearly in
        the share itself. A share of 1 has the threshold 0.

        Raises:
            ValueError: a share outside [0, 1].
        """
        _require_share(share)
        shares, thresholds, _ = self._columns()
        if share <= shares[1]:
            return float(np.interp(share, shares[:2], thresholds[:2]))
        return float(np.interp(math.log(share), np.log(shares[1:]), thresholds[1:]))

    def expected_gain(self, share: float) -> float:
        """Return the share of the possible gain that a share of the images brings.

        Linear in the share between two budgets, which understates it where the triage works: what
        is worth most comes first.

        Raises:
            ValueError: a share outside [0, 1].
        """
        _require_share(share)
        shares, _, gains = self._columns()
        return float(np.interp(share, shares, gains))

    def _columns(self) -> tuple[_Values, _Values, _Values]:
        rows = [(budget.share, budget.threshold, budget.expected_gain) for budget in self.budgets]
        shares, thresholds, gains = np.array(rows, dtype=np.float64).T
        return shares, thresholds, gains


def fit_triage(predicted: npt.ArrayLike, actual: npt.ArrayLike, teacher: Teacher) -> Triage:
    """Fit a triage to held-out images; their order does not matter.

    The threshold of a share s is the (1 - s) quantile of the predicted gains, interpolated between
    neighbours; that of all images is 0. The expected gain of s is the sum of the actual gains of
    the s N images with the highest predicted gain over the sum of all; of an image that is counted
    in part, as of images with equal predictions, the mean is.

    Args:
        predicted: [N], >= 0: what the cheap refiner says the expensive one would change.
        actual: [N], >= 0: mean |expensive - cheap| over the map, as a share of the coarse map's
            range from its 2 % to its 98 % quantile.
        teacher: whose maps the expensive ones are.

    Returns:
        Triage with a budget for each of `SHARES`.

    Raises:
        ValueError: no images, values that are negative or not finite, or no change at all.
    """
    predicted_n, actual_n = _gains("predicted", predicted), _gains("actual", actual)
    if predicted_n.shape != actual_n.shape:
        raise ValueError(f"{len(predicted_n)} predicted gains and {len(actual_n)} actual ones")
    if not actual_n.sum() > 0:
        raise ValueError(
            "the expensive method changed no held-out image: there is nothing to send images to it "
            "for"
        )
    shares = np.array(SHARES)
    thresholds = np.minimum.accumulate(np.quantile(predicted_n, 1.0 - shares))
    thresholds[-1] = 0.0
    gains = _cumulative_gain(predicted_n, actual_n, shares)
    rows = zip(SHARES, thresholds.tolist(), gains.tolist(), strict=True)
    budgets = tuple(Budget(share=s, threshold=t, expected_gain=g) for s, t, g in rows)
    return Triage(budgets=budgets, num_images=len(predicted_n), teacher=teacher)


def _gains(what: str, values: npt.ArrayLike) -> _Values:
    gains_n = np.asarray(values, dtype=np.float64)
    if gains_n.ndim != 1 or not len(gains_n) or not np.isfinite(gains_n).all() or gains_n.min() < 0:
        raise ValueError(f"{what} gains must be [N >= 1], finite and not negative")
    return gains_n


def _cumulative_gain(predicted_n: _Values, actual_n: _Values, shares: _Values) -> _Values:
    """Return the share of all actual gain that lies in the images with the highest predictions."""
    _, group_n = np.unique(-predicted_n, return_inverse=True)
    counts = np.concatenate([[0.0], np.cumsum(np.bincount(group_n))])
    sums = np.concatenate([[0.0], np.cumsum(np.bincount(group_n, weights=actual_n))])
    reached = np.interp(shares * len(predicted_n), counts, sums) / sums[-1]
    return np.maximum.accumulate(np.clip(reached, 0.0, 1.0))


def _require_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of images is {share}, expected 0 to 1")


class RoutingFacts(Settings):
    """What dataset.json records of how images were sent one way or the other.

    Attributes:
        expensive: the method above the threshold; the cheap one is below.
        budget: share of images that was meant for it.
        threshold: predicted gain above which an image went to it.
        triage: that the threshold was taken from.
    """

    expensive: str = Field(max_length=200)
    budget: UnitInterval
    threshold: float = Field(ge=0, allow_inf_nan=False)
    triage: Triage


def routing_facts(models: Iterable[ModelCard]) -> RoutingFacts | None:
    """Return what the cards of an output say of its routing; None if it has none, or no such."""
    for model in models:
        if model.role == ROLE:
            try:
                return RoutingFacts.model_validate(model.facts)
            except ValidationError:
                return None
    return None


@dataclass(frozen=True, slots=True)
class RecordedTriage:
    """A triage as it was read, and the card that says which one it is."""

    triage: Triage
    card: ModelCard


def read_triage(own: Weights, published: PublishedWeights | None) -> RecordedTriage:
    """Read the `triage.json` that lies beside a cheap refiner's weights; reads no weights.

    Raises:
        ConfigError: no such folder or repository, or it holds no triage that can be read.
        TransientError: the hub failed in the middle of a download.
    """
    folder = resolve_weights(own, published, (FILE,))
    path = folder.path / FILE
    if not path.is_file():
        raise ConfigError(
            f"{folder.source} has no {FILE}: which images are worth an expensive method was not "
            "fitted for these weights; take those of `redepth distill`, or no cascade"
        )
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES)
    try:
        triage = Triage.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise ConfigError(
            f"{folder.source}: {FILE} is not readable ({place}: {first['msg']}); distil again, or "
            "restore the file"
        ) from error
    return RecordedTriage(triage, folder.card(ROLE, [path]))
