"""redepth: refined depth labels for large collections of photographs."""

from __future__ import annotations

__version__ = "0.1.0"
