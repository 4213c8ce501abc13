"""redepth: refined depth labels for large collections of photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "open_labels"]

if TYPE_CHECKING:
    from redepth.store.reader import open_labels
else:

    def __getattr__(name: str) -> object:
        """Import `open_labels` when it is asked for: the package itself stays light."""
        if name == "open_labels":
            from redepth.store.reader import open_labels

            return open_labels
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
