"""What turns a coarse map into an ensemble of refined ones: a folder a method, and the list."""

from __future__ import annotations

from redepth.refiners import (
    betterdepth,
    cascade,
    distilled,
    identity,
    redepth_anything,
    sharpdepth,
)
from redepth.refiners.part import RefinerPart
from redepth.registry import REFINERS, Registry

refiners: Registry[RefinerPart] = Registry(
    "refiner",
    REFINERS,
    RefinerPart,
    (
        identity.PART,
        redepth_anything.PART,
        betterdepth.PART,
        sharpdepth.PART,
        distilled.PART,
        cascade.PART,
    ),
)
