"""The images that a student was distilled from, as its network sees them, and how far others are.

A student averages what its teacher found on images of some kinds. Of another kind it knows nothing,
and nothing in its output says so: the distance to what it has seen does.

Source: deep nearest neighbours for out-of-distribution detection (Sun et al. 2022), with the
features standardised instead of normalised to unit length.
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
# Of a feature's own deviation over all images: what never varies must not decide a distance.
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class FamiliarImages:
    """Features of the images that a student was distilled from.

    Attributes:
        features_nd: float32 [N, D], standardised: mean 0 and deviation 1 over the images.
        mean_d, deviation_d: float32 [D], what they were standardised with.
    """

    features_nd: Tensor
    mean_d: Tensor
    deviation_d: Tensor

    @classmethod
    def of(cls, features_nd: Tensor) -> FamiliarImages:
        """Keep the features of the images that were learned from, float32 [N >= 1, D]."""
        features_nd = features_nd.float().cpu()
        mean_d = features_nd.mean(dim=0)
        deviation_d = features_nd.std(dim=0, correction=0).clamp(min=_LEAST_DEVIATION)
        return cls((features_nd - mean_d) / deviation_d, mean_d, deviation_d)

    def distance(self, features_d: Tensor, leave_out: int | None = None) -> float:
        """Return how far an image is from those: the root mean square over its features.

        The mean over the five nearest, each image for itself: a batch would show in the last bits.

        Args:
            features_d: float32 [D], on the CPU, as the network gives them.
            leave_out: the number of an image that is one of those itself.
        """
        own_d = (features_d.float() - self.mean_d) / self.deviation_d
        distances_n = (self.features_nd - own_d).square().mean(dim=1).sqrt()
        if leave_out is not None:
            distances_n = torch.cat((distances_n[:leave_out], distances_n[leave_out + 1 :]))
        count = min(NUM_NEIGHBOURS, len(distances_n))
        return float(distances_n.topk(count, largest=False).values.mean()) if count else 0.0

    def save(self, folder: Path) -> None:
        """Write them into a student's folder."""
        tensors = {
            "features": self.features_nd.contiguous(),
            "mean": self.mean_d.contiguous(),
            "deviation": self.deviation_d.contiguous(),
        }
        save_file(tensors, folder / FILE_NAME)


def read_familiar(folder: Path) -> FamiliarImages:
    """Read a student's.

    Raises:
        ConfigError: the file is not there, or not what a student has.
    """
    path = folder / FILE_NAME
    with reading("the images that a student was distilled from", path):
        tensors = load_file(path)
        found = FamiliarImages(tensors["features"], tensors["mean"], tensors["deviation"])
    if found.features_nd.ndim != 2 or not found.mean_d.shape == found.deviation_d.shape == (
        found.features_nd.shape[1],
    ):
        raise ConfigError(f"{path} holds no features of images, [N, D]: distil the student again")
    return found
