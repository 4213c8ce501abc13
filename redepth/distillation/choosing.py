"""Which images a teacher labels: few enough to pay for, and unlike each other.

Candidates are drawn from the whole collection by a hash of their ids, whatever their order. Of
these the coarse maps are looked at: half of the chosen images are the first candidates, as the
collection has them, and half those that are farthest from all chosen so far, so that rare kinds of
scene are seen as well.

Source of the second half: farthest-point traversal (Gonzalez 1985), known from active learning as
the k-centre greedy choice (Sener and Savarese 2018).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image

from redepth.store.reader import Labels
from redepth.types import FloatMap, ImageRef

_GRID_PX = 8
_QUANTILES = 0.02, 0.98
_FARTHEST_SHARE = 0.5


def draw_candidates(images: Iterable[ImageRef], count: int) -> list[ImageRef]:
    """Return `count` images, or all, in the order of a hash of their ids; no others are held."""
    return heapq.nsmallest(count, images, key=lambda ref: _draw(ref.id))


def describe(labels: Labels, ids: Sequence[str], on_read: Callable[[], None]) -> np.ndarray:
    """Return a descriptor of each image's coarse map, float64 [N, D].

    The map on a grid of 8 x 8, each map's own 2 % to 98 % range brought to [0, 1], and how rough it
    is in each cell of the grid. Near is large.

    Args:
        on_read: called after each image.
    """
    found = []
    for image_id in ids:
        label = labels[image_id]
        kind = label.row.kind
        sign = 1.0 if kind is not None and kind.grows_towards_camera else -1.0
        found.append(describe_map(sign * label.coarse))
        on_read()
    return np.stack(found)


def describe_map(map_hw: FloatMap) -> np.ndarray:
    """Return the descriptor of one map, float64 [2 * 64]; see `describe`."""
    known_hw = np.where(np.isfinite(map_hw), map_hw, np.nanmin(map_hw))
    low, high = np.quantile(known_hw, _QUANTILES)
    framed_hw = np.clip((known_hw - low) / max(high - low, 1e-12), -1.0, 2.0)
    down, right = np.abs(np.gradient(framed_hw))
    shape, rough = (_on_grid(each) for each in (framed_hw, down + right))
    # A gradient a pixel is small beside a map's range: brought to a like size.
    return np.concatenate((shape.ravel(), rough.ravel() * min(map_hw.shape) / _GRID_PX))


def choose(descriptors_nd: np.ndarray, count: int) -> list[int]:
    """Return the numbers of `count` images, or of all, in ascending order; see above."""
    total = len(descriptors_nd)
    if count >= total:
        return list(range(total))
    first = max(1, count - round(count * _FARTHEST_SHARE))
    chosen = list(range(first))
    nearest_n = np.full(total, np.inf)
    for number in chosen:
        nearest_n = np.minimum(nearest_n, _distances(descriptors_nd, number))
    while len(chosen) < count:
        chosen.append(int(nearest_n.argmax()))
        nearest_n = np.minimum(nearest_n, _distances(descriptors_nd, chosen[-1]))
    return sorted(chosen)


def _on_grid(map_hw: np.ndarray) -> np.ndarray:
    """Return the means of a map over the cells of the grid."""
    picture = Image.fromarray(map_hw.astype(np.float32))
    return np.asarray(picture.resize((_GRID_PX, _GRID_PX), Image.Resampling.BOX), np.float64)


def _distances(descriptors_nd: np.ndarray, number: int) -> np.ndarray:
    distances: np.ndarray = np.square(descriptors_nd - descriptors_nd[number]).sum(axis=1)
    return distances


def _draw(image_id: str) -> bytes:
    return hashlib.sha256(f"candidate\x1f{image_id}".encode()).digest()
