"""BLIP: image-to-text, the base model."""

from __future__ import annotations

from redepth.refiners.redepth_anything.captioners.part import CaptionerPart
from redepth.settings import HubWeights, Licence

PART = CaptionerPart(
    "blip",
    "blip",
    HubWeights(
        "Salesforce/blip-image-captioning-base",
        "82a37760796d32b1411fe092ab5d4e227313294b",
        Licence("BSD-3-Clause"),
    ),
)
