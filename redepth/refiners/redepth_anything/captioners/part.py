"""What a captioner brings: an image-to-text model of transformers, and its own prompt."""

from __future__ import annotations

from dataclasses import dataclass

from redepth.settings import HubWeights


@dataclass(frozen=True, slots=True)
class CaptionerPart:
    """An image-to-text model that captions without a chat template.

    Attributes:
        name: what recipes call it in `refiner.caption.captioner`.
        model_type: the `model_type` that its config.json has.
        weights: as published.
        task: the prompt that some models need to caption at all.
    """

    name: str
    model_type: str
    weights: HubWeights
    task: str | None = None
