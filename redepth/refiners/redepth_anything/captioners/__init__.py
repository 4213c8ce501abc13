"""What says in words what a photograph shows: a file a model, and the list."""

from __future__ import annotations

from redepth.refiners.redepth_anything.captioners import blip, blip_2, florence_2
from redepth.refiners.redepth_anything.captioners.part import CaptionerPart
from redepth.registry import CAPTIONERS, Registry

captioners: Registry[CaptionerPart] = Registry(
    "captioner", CAPTIONERS, CaptionerPart, (blip.PART, blip_2.PART, florence_2.PART)
)
