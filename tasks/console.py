"""The terminal as a run sees it: it may close early, and it must not be given orders by a name."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.text import Text

from redepth.printable import printable


class RunConsole(Console):
    """Print letters alone, whatever is in a string, and go on when nobody reads any more.

    What is in markup has to be escaped all the same, by whoever makes the string.
    `redepth label ... | head -1` labels to the end.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Let what is said from now on go nowhere, where rich would end the program."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
