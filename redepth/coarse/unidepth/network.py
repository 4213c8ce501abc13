"""UniDepth V2 through its authors' package, which is imported only if a recipe names it.

The package is under CC-BY-NC-4.0 and on no package index; its code and weights are for
non-commercial use alone. It sees the picture at a size of its own choice, and takes a camera where
one is known.

Source: UniDepthV2, https://arxiv.org/abs/2502.20110.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from redepth.coarse.far_limit import far_limit_m
from redepth.coarse.part import Coarse, CoarseModel
from redepth.errors import ConfigError
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import reading, resolve_weights, seeds_are_for_mini, variant_of, weight_files

_INSTALL = "pip install git+https://github.com/lpiccinelli-eth/UniDepth"
_MULTIPLE_PX = 1


class UniDepth:
    """A UniDepth V2 checkpoint: a `DepthEstimator`, weights frozen.

    It takes pictures one by one: its package has one camera for a forward.
    """

    kind = DepthKind.METRIC_DEPTH

    def __init__(
        self,
        model: Any,
        card: ModelCard,
        settings: Coarse,
        preset: CoarseModel,
        device: torch.device,
    ) -> None:
        """Take a model with the package's `infer(rgb_3hw, camera_33)`."""
        self.card = card
        self._far_limit_m = far_limit_m(settings, preset)
        self.processing_size = UpperBound(settings.size_px, _MULTIPLE_PX)
        self._model = model.to(device).eval()

    @torch.no_grad()
    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map in metres, and the focal length that was seen if none was given.

        Args:
            rgb_hw3: uint8 [H, W, 3], any size.
            focal_px: the camera's own; its centre is taken for the picture's.
        """
        height_px, width_px, _ = rgb_hw3.shape
        image_3hw = torch.tensor(rgb_hw3).permute(2, 0, 1)
        camera = None if focal_px is None else _camera(focal_px, height_px, width_px)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it talks of autocast and of its default resolution
            answer = self._model.infer(image_3hw, camera)
        map_hw = answer["depth"].reshape(height_px, width_px).float().cpu().numpy()
        seen_px = None if focal_px is not None else float(answer["intrinsics"].reshape(3, 3)[0, 0])
        return CoarseDepth(
            np.ascontiguousarray(map_hw, dtype=np.float32),
            self.kind,
            focal_px=seen_px,
            far_limit_m=self._far_limit_m,
        )


def _camera(focal_px: float, height_px: int, width_px: int) -> torch.Tensor:
    return torch.tensor(
        [[focal_px, 0.0, width_px / 2], [0.0, focal_px, height_px / 2], [0.0, 0.0, 1.0]]
    )


def load_unidepth(settings: Coarse, preset: CoarseModel, device: torch.device) -> UniDepth:
    """Load a UniDepth V2 from the hub or a folder.

    Raises:
        ConfigError: its package is not installed, or the weights cannot be had.
    """
    if settings.weights.seed is not None:
        raise seeds_are_for_mini(settings.preset)
    try:
        from unidepth.models import UniDepthV2
    except ImportError as error:
        raise ConfigError(
            f"coarse.preset {settings.preset!r} takes the package unidepth, which is not installed "
            f"({error}): {_INSTALL} (licence CC-BY-NC-4.0: non-commercial use only), or take "
            "another metric preset (docs/metric-depth.md)"
        ) from error
    variant = variant_of(settings.weights, preset.weights)
    folder = resolve_weights(settings.weights, preset.weights, ("config.json", "model.safetensors"))
    files = weight_files(folder, "model", variant)
    with reading("UniDepth", folder.path):
        model = UniDepthV2.from_pretrained(str(folder.path))
    # Whatever is said of the weights: the package's own code is for non-commercial use alone.
    card = replace(folder.card("coarse", files), non_commercial=True)
    return UniDepth(model, card, settings, preset, device)
