"""How long an image has been worked on, told apart from what it waited for other images."""

from __future__ import annotations

import time


class Work:
    """A clock of one image: runs while the image is worked on, stands while it waits.

    Begun running. Any thread may read it; the threads that move an image along take turns.

    Args:
        seconds: what the image was worked on before, elsewhere.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._state: tuple[float, float | None] = (seconds, time.perf_counter())

    @property
    def seconds(self) -> float:
        """The seconds of work so far."""
        worked, since = self._state
        return worked if since is None else worked + time.perf_counter() - since

    def wait(self) -> None:
        """Stop the clock: others are worked on."""
        self._state = (self.seconds, None)

    def go_on(self) -> None:
        """Let the clock run."""
        self._state = (self.seconds, time.perf_counter())
