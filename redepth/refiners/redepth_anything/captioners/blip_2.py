"""BLIP-2: image-to-text on a language model, the paper's choice of captioner."""

from __future__ import annotations

from redepth.refiners.redepth_anything.captioners.part import CaptionerPart
from redepth.settings import UNVERIFIED, HubWeights, Licence

PART = CaptionerPart(
    "blip-2", "blip-2", HubWeights("Salesforce/blip2-opt-2.7b", UNVERIFIED, Licence("MIT"))
)
