"""Conformal factors: how wide intervals must be where images, not pixels, are exchangeable.

The pixels of an image err together. So what is exchangeable is images: the ones to calibrate on and
the next one, drawn alike. Each rule below says what then holds of the next image, whatever the
network is.

Sources: Vovk, Gammerman, Shafer 2005 (split and Mondrian conformal prediction); Romano, Patterson,
Candes 2019 and Lei et al. 2018 (scores scaled by a fitted difficulty); Lee, Barber, Willett 2023
(hierarchical data: `pixels_quantile`); Dunn, Wasserman, Ramdas 2022 (groups that are pooled);
Angelopoulos, Bates 2023 (an introduction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


def pixels_quantile(
    scores: Sequence[FloatArray], coverage: float, shares: Sequence[float] | None = None
) -> float:
    """Return the score that a random pixel of the next image stays below with the coverage.

    The quantile of all scores, where each of the K images weighs the same and the next one, which
    counts as infinite, what they weigh on average: so it holds for any number of images, over the
    draw of all K + 1.

    Args:
        scores: float [N] >= 0 of each image.
        shares: what each image weighs, its share of pixels in the group that `scores` are of: of
            the group's pixels pooled the coverage then holds for many images, and for few nearly.

    Returns:
        Infinity for fewer images than coverage / (1 - coverage), 9 for 0.9: they promise nothing.
    """
    weighing = [1.0] * len(scores) if shares is None else shares
    total = sum(weighing)
    if not total > 0.0:
        return math.inf
    whole = total * (len(scores) + 1) / len(scores)
    weights_n = np.concatenate(
        [
            np.full(len(one), w / (whole * max(len(one), 1)))
            for one, w in zip(scores, weighing, strict=True)
        ]
    )
    values_n = np.concatenate(scores).astype(np.float64)
    order_n = np.argsort(values_n, kind="stable")
    reached_n = np.cumsum(weights_n[order_n])
    at = int(np.searchsorted(reached_n, coverage - _ROUNDING))
    return float(values_n[order_n[at]]) if at < len(values_n) else math.inf


def images_quantile(
    scores: Sequence[FloatArray], coverage: float, shares: Sequence[float] | None = None
) -> float:
    """Return the score below which the share `coverage` of the next image's pixels stays.

    That happens with a probability of `coverage`, over the draw of all images: the split conformal
    quantile, over images, of each image's own quantile of its pixels.

    Args:
        scores: float [N >= 1] >= 0 of each image.
        shares: of no say here: every image counts once.

    Returns:
        Infinity for fewer images than coverage / (1 - coverage).
    """
    own = sorted(float(np.quantile(one, coverage, method="higher")) for one in scores)
    rank = math.ceil((len(own) + 1) * coverage - _ROUNDING)
    return own[rank - 1] if rank <= len(own) else math.inf


_ROUNDING = 1e-9
