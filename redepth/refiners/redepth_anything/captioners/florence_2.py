"""Florence-2: image-to-text by a task's token."""

from __future__ import annotations

from redepth.refiners.redepth_anything.captioners.part import CaptionerPart
from redepth.settings import UNVERIFIED, HubWeights, Licence

PART = CaptionerPart(
    "florence-2",
    "florence2",
    HubWeights("florence-community/Florence-2-base", UNVERIFIED, Licence("MIT")),
    task="<CAPTION>",
)
