"""A page that was opened, and what it said and asked for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


@dataclass
class Opened:
    """A page, all it wrote to the console, and all it requested but data URIs."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return what axe-core finds inaccessible, the first element of each kind."""
        found = Axe().run(self.page).response["violations"]
        return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found]


# Called with a path, and perhaps width_px and scheme ("light" or "dark").
Open = Callable[..., Opened]
