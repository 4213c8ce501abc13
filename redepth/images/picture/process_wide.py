"""Settings that belong to the whole process: ours while a picture is decoded, on several threads.

Pillow's limit on pixels, Python's warning filters and switches of decoders are shared by all
threads, and with the program that calls. They are set as a decode begins and given back as it ends.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from PIL import Image

_OF_PILLOW = r"PIL\."


class PillowLimit:
    """Pillow's bomb limit at a number of pixels, and none of its warnings, for many threads.

    Decodes with one limit run side by side. One with another limit waits until these have ended,
    and what comes after it waits for it: no picture is judged by the limit of another.

    Only Pillow's warnings are silenced; a model that runs meanwhile may warn. Python has no filters
    of a thread: one that enters `warnings.catch_warnings` while pictures are decoded may bring
    Pillow's warnings back for as long, or keep them silenced for longer.
    """

    def __init__(self) -> None:
        self._begin_anew()

    @contextmanager
    def at(self, max_pixels: int) -> Iterator[None]:
        """Hold the limit: Pillow warns of more pixels, and raises at twice as many."""
        with self._turnstile, self._ended:
            self._ended.wait_for(lambda: not self._num_running or self._max_pixels == max_pixels)
            if not self._num_running:
                self._set(max_pixels)
            self._num_running += 1
        try:
            yield
        finally:
            with self._ended:
                self._num_running -= 1
                if not self._num_running:
                    self._callers.close()
                self._ended.notify_all()

    def after_fork(self) -> None:
        """Forget decodes of threads that the parent process alone has."""
        self._callers.close()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._turnstile = threading.Lock()
        self._ended = threading.Condition()
        self._num_running = 0
        self._max_pixels = 0
        self._callers = ExitStack()  # closed, it gives back what the calling program had set

    def _set(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._callers.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=_OF_PILLOW)
        self._callers.enter_context(_set_to(Image, MAX_IMAGE_PIXELS=max_pixels))


class Switches:
    """Switches in a decoder's module that are looked at as a picture is opened.

    One picture at a time is opened with them, which reads its header; it is decoded without.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def at(self, module: Any, **values: Any) -> Iterator[None]:
        """Hold attributes of a module at these values."""
        with self._lock, _set_to(module, **values):
            yield


@contextmanager
def _set_to(module: Any, **values: Any) -> Iterator[None]:
    callers = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in callers.items():
            setattr(module, name, value)


PILLOW_LIMIT = PillowLimit()
SWITCHES = Switches()
os.register_at_fork(after_in_child=PILLOW_LIMIT.after_fork)
