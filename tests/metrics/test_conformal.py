"""Conformal quantiles over images: worked out by hand, and held by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from redepth.metrics.calibration import fit_linear
from redepth.metrics.conformal import images_quantile, pixels_quantile


def test_every_image_weighs_alike_and_the_next_one_counts_as_infinite() -> None:
    # 9 images of one pixel each, 1 to 9: the weights are 0.1, and 0.9 is reached at the ninth.
    ones = [np.array([float(k)]) for k in range(1, 10)]
    assert pixels_quantile(ones, 0.9) == 9.0
    # 19 images, each twenty times its number: 0.9 * 20 = the eighteenth.
    assert pixels_quantile([np.full(20, float(k)) for k in range(1, 20)], 0.9) == 18.0


def test_an_image_with_many_pixels_weighs_no_more() -> None:
    few = [np.array([float(k)]) for k in range(1, 20)]
    assert pixels_quantile([*few[:-1], np.full(10_000, 19.0)], 0.9) == 18.0


def test_in_a_group_an_image_weighs_what_it_has_in_it() -> None:
    # Nine of ten pixels of the group are of images with small scores: the others hardly count.
    small, large = [np.full(90, 1.0)] * 10, [np.full(1, 9.0)] * 10
    shares = [0.9] * 10 + [0.01] * 10
    assert pixels_quantile([*small, *large], 0.9, shares) == 1.0
    assert pixels_quantile([*small, *large], 0.9) == 9.0
    assert pixels_quantile([*small, *large, np.zeros(0)], 0.9, [*shares, 0.0]) == 1.0


@pytest.mark.parametrize("quantile", [pixels_quantile, images_quantile])
def test_too_few_images_promise_nothing(
    quantile: Callable[..., float],
) -> None:
    assert math.isinf(quantile([np.arange(100.0)] * 8, 0.9))
    assert math.isfinite(quantile([np.arange(100.0)] * 9, 0.9))


def test_of_images_each_ones_own_quantile_counts() -> None:
    images = [np.arange(1.0, 11.0) * k for k in range(1, 10)]
    # Nine of each image's ten pixels lie at or below 10 k * 0.9 = 9 k, or above: "higher".
    own = [float(np.quantile(one, 0.9, method="higher")) for one in images]
    assert images_quantile(images, 0.9) == max(own)


def test_both_hold_what_they_say_of_the_next_image() -> None:
    rng = np.random.default_rng(0)
    inside, share_good = [], []
    for _ in range(300):
        images = [rng.exponential(rng.uniform(0.2, 2.0), 50) for _ in range(20)]
        *known, following = images
        inside.append(float((following <= pixels_quantile(known, 0.9)).mean()))
        share_good.append((following <= images_quantile(known, 0.9)).mean() >= 0.9)
    assert 0.89 <= np.mean(inside) <= 0.96
    assert np.mean(share_good) >= 0.87


def test_a_line_is_found_again_inside_of_images_that_lie_apart() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(200, 2)) + 3 * k for k in range(6)]
    targets = [one @ np.array([2.0, -1.0]) - 5.0 * k for k, one in enumerate(rows)]
    found = fit_linear(rows, targets, within_images=True)
    assert found.weights == pytest.approx((2.0, -1.0), abs=0.15)
    together = fit_linear(rows, targets)
    assert together.weights != pytest.approx((2.0, -1.0), abs=0.15)
    assert np.mean(together.apply(np.concatenate(rows))) == pytest.approx(
        np.mean(np.concatenate(targets)), abs=0.05
    )
