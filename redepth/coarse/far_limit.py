"""How far a metric model can be believed: the depth beyond which it has no value."""

from __future__ import annotations

from redepth.coarse.part import Coarse, CoarseModel
from redepth.errors import ConfigError

# A sigmoid comes near the largest depth it was made for and never reaches it; what a model says
# close to the end of its range is "that far, or farther".
_REACHED = 0.98


def far_limit_m(
    settings: Coarse, model: CoarseModel, model_end_m: float | None = None
) -> float | None:
    """Return the recipe's limit, else the nearest of the preset's and the checkpoint's own.

    Args:
        model_end_m: the largest depth that a checkpoint was made for; 98 % of it count as reached.

    Raises:
        ConfigError: the recipe's limit lies beyond what the model can say.
    """
    own_m = None if model_end_m is None else _REACHED * model_end_m
    asked_m = settings.far_limit_m
    if asked_m is not None:
        if own_m is not None and asked_m > own_m:
            raise ConfigError(
                f"coarse.far_limit_m is {asked_m:g} m, and {settings.preset} has no value beyond "
                f"{own_m:g} m (98 % of its {model_end_m:g} m): lower it, or leave it out"
            )
        return asked_m
    known = [m for m in (own_m, model.far_limit_m) if m is not None]
    return min(known, default=None)
