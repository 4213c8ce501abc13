"""Refined depth labels for large collections of photographs.

    refined = redepth.refine("photo.jpg", "mini")    # one photograph, or a list of them
    refiner = redepth.Refiner("mini")                # the models, loaded once
    labels = redepth.open_labels("labels/")          # what `redepth label` wrote

A `Refined` has the maps (`coarse`, `refined`, `spread`, `confidence`), `.save()`, `.plot()`,
`.points()`, and shows itself in a notebook: examples/first_steps.ipynb.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Refined", "RefinedList", "Refiner", "__version__", "open_labels", "refine"]

if TYPE_CHECKING:
    from redepth.predict import Refined, RefinedList, Refiner, refine
    from redepth.store.reader import open_labels
else:
    _HOMES = {
        "Refined": "redepth.predict",
        "RefinedList": "redepth.predict",
        "Refiner": "redepth.predict",
        "open_labels": "redepth.store.reader",
        "refine": "redepth.predict",
    }

    def __getattr__(name: str) -> object:
        """Import a name when it is asked for: the package itself stays light."""
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
