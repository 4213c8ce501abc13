"""Say in words what a photograph shows, with an image-to-text model of transformers.

Pictures go through transformers' Pillow image processors, whether torchvision is installed or not:
the two resize differently, and a caption decides a label's bytes.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything.captioners.part import CaptionerPart
from redepth.settings import Compute, Weights
from redepth.types import ByteImage, ModelCard
from redepth.weights import (
    ResolvedFolder,
    reading,
    require_complete,
    resolve_weights,
    weight_files,
    weight_patterns,
)

_MAX_NEW_TOKENS = 40


class Captioner:
    """A frozen image-to-text model, decoded greedily: the same picture, the same words.

    Attributes:
        card: what was loaded.
    """

    def __init__(
        self, model: Any, processor: Any, card: ModelCard, task: str | None, device: torch.device
    ) -> None:
        self.card = card
        self._model = model.to(device).eval().requires_grad_(False)
        self._processor = processor
        self._task = task

    @torch.no_grad()
    def caption(self, rgb_hw3: ByteImage) -> str:
        """Return one line that describes the picture, without special tokens; may be empty.

        Args:
            rgb_hw3: uint8 [H, W, 3], sRGB, of any size.
        """
        # Said explicitly: in a picture 3 pixels high the library cannot tell which axis is which.
        inputs = self._processor(
            images=rgb_hw3, text=self._task, return_tensors="pt", input_data_format="channels_last"
        )
        tokens = self._model.generate(
            **inputs.to(self._model.device, self._model.dtype),
            do_sample=False,
            num_beams=1,
            max_new_tokens=_MAX_NEW_TOKENS,
        )
        # Florence-2's own post-processing of a caption only strips what is skipped here.
        text: str = self._processor.batch_decode(tokens, skip_special_tokens=True)[0]
        return " ".join(text.split())


def load_captioner(
    part: CaptionerPart, weights: Weights, compute: Compute, device: torch.device
) -> Captioner:
    """Load a captioner, from the hub or a folder.

    Raises:
        ConfigError: a seed is named, the weights cannot be had or are not whole, or they are of
            another kind of model.
    """
    if weights.seed is not None:
        raise ConfigError(
            f"a captioner needs trained weights, not a seed: got seed={weights.seed} for "
            f"caption.captioner={part.name}"
        )
    patterns = ("*.json", "*.txt", *weight_patterns("model", weights.variant))
    folder = resolve_weights(weights, part.weights, patterns)
    card = folder.card("captioner", weight_files(folder, "model", weights.variant))
    model = _read_model(part, folder, weights.variant, getattr(torch, compute.dtype))
    with reading("the captioner's processor", folder.path):
        processor = AutoProcessor.from_pretrained(
            folder.path, backend="pil", local_files_only=True, trust_remote_code=False
        )
    return Captioner(model, processor, card, part.task, device)


def _read_model(
    part: CaptionerPart, folder: ResolvedFolder, variant: str | None, dtype: torch.dtype
) -> Any:
    with reading("the captioner", folder.path):
        model, info = AutoModelForImageTextToText.from_pretrained(
            folder.path,
            variant=variant,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if model.config.model_type != part.model_type:
        raise ConfigError(
            f"{folder.source} is a {model.config.model_type!r} model; the captioner {part.name} is "
            f"of the kind {part.model_type}"
        )
    require_complete("the captioner", folder, info)
    return model
