"""A few photographs at once, without an engine and without an output: `redepth.refine`."""

from __future__ import annotations

from redepth.predict.pictures import Picture, file_name
from redepth.predict.refined import Refined, require_formats
from redepth.predict.refined_list import RefinedList
from redepth.predict.refiner import Refiner, refine

__all__ = ["Picture", "Refined", "RefinedList", "Refiner", "file_name", "refine", "require_formats"]
