"""A console for a run: its reader may leave."""

from __future__ import annotations

import os

from rich.console import Console


class RunConsole(Console):
    """A console that goes on when nobody reads: `redepth label ... | head -1` labels to the end."""

    def on_broken_pipe(self) -> None:
        """Let what is said from now on go nowhere, where rich would end the program."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
