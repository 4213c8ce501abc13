"""The images that a student was distilled from, as its network sees them, and how far others are.

A student averages what its teacher found on images of some kinds. Of another kind it knows nothing,
and nothing in its output says so: the distance to what it has seen does. Images of one kind lie
close together, those of another far apart: a distance counts as a multiple of what is usual there.

Source: local outlier factor (Breunig et al. 2000), with mean distances for reachability; nearest
neighbours among a network's features, as Sun et al. 2022 take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from redepth.errors import ConfigError
from redepth.weights import reading

FILE_NAME = "familiar.safetensors"
NUM_NEIGHBOURS = 5
# Of a feature over all images, and of a distance: nothing is divided by zero.
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class FamiliarImages:
    """Features of the images that a student was distilled from.

    Attributes:
        features_nd: float32 [N, D], standardised: mean 0 and deviation 1 over the images.
        mean_d, deviation_d: float32 [D], what they were standardised with.
        usual_n: float32 [N], the mean distance of each to its own nearest ones.
    """

    features_nd: Tensor
    mean_d: Tensor
    deviation_d: Tensor
    usual_n: Tensor

    @classmethod
    def of(cls, features_nd: Tensor) -> FamiliarImages:
        """Keep the features of the images that were learned from, float32 [N >= 2, D]."""
        features_nd = features_nd.float().cpu()
        mean_d = features_nd.mean(dim=0)
        deviation_d = features_nd.std(dim=0, correction=0).clamp(min=_LEAST)
        standard_nd = (features_nd - mean_d) / deviation_d
        # The nearest image of each is itself.
        usual = [_nearest(standard_nd, one_d, skip=1)[0].mean() for one_d in standard_nd]
        return cls(standard_nd, mean_d, deviation_d, torch.stack(usual).clamp(min=_LEAST))

    def distance(self, features_d: Tensor) -> float:
        """Return how far an image is from those, as a multiple of what is usual where it lies.

        About 1 for an image like them. Each image for itself: a batch would show in the last bits.

        Args:
            features_d: float32 [D], on the CPU, as the network gives them.
        """
        own_d = (features_d.float() - self.mean_d) / self.deviation_d
        distances, numbers = _nearest(self.features_nd, own_d)
        return float(distances.mean() / self.usual_n[numbers].mean())

    def save(self, folder: Path) -> None:
        """Write them into a student's folder."""
        tensors = {
            "features": self.features_nd,
            "mean": self.mean_d,
            "deviation": self.deviation_d,
            "usual": self.usual_n,
        }
        save_file({name: t.contiguous() for name, t in tensors.items()}, folder / FILE_NAME)


def read_familiar(folder: Path) -> FamiliarImages:
    """Read a student's.

    Raises:
        ConfigError: the file is not there, or not what a student has.
    """
    path = folder / FILE_NAME
    with reading("the images that a student was distilled from", path):
        tensors = load_file(path)
        names = ("features", "mean", "deviation", "usual")
        found = FamiliarImages(*(tensors[name] for name in names))
    shapes = [tuple(tensors[name].shape) for name in names]
    count, width = shapes[0] if len(shapes[0]) == 2 else (0, 0)
    if not count or shapes[1:] != [(width,), (width,), (count,)]:
        raise ConfigError(f"{path} holds no features of images, [N, D]: distil the student again")
    return found


def _nearest(features_nd: Tensor, own_d: Tensor, skip: int = 0) -> tuple[Tensor, Tensor]:
    """Return the root mean square distances to the nearest images, and their numbers."""
    distances_n = (features_nd - own_d).square().mean(dim=1).sqrt()
    count = min(NUM_NEIGHBOURS + skip, len(distances_n))
    found = distances_n.topk(count, largest=False)
    return found.values[skip:], found.indices[skip:]
