"""redepth: refined depth labels for large collections of photographs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Refined", "Refiner", "__version__", "open_labels", "refine"]

if TYPE_CHECKING:
    from redepth.predict import Refined, Refiner, refine
    from redepth.store.reader import open_labels
else:
    _HOMES = {
        "Refined": "redepth.predict",
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
