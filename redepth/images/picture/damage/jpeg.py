"""JPEG: an end marker that is lost.

A camera that lost power, or a copy that was cut, leaves a JPEG without its last two bytes, or many
more. JPEG has no length and no checksum, so whether the last pixel is there is asked of the
decoder: behind a whole scan it ignores what follows, in a cut one it takes it for pixels. The file
is closed with several endings, and if they all give the same picture nothing was missing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from PIL import Image

from redepth.images.picture.damage import truncated
from redepth.storage_errors import in_words

_END = b"\xff\xd9"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
# First bytes of endings: whatever bits were lost, some of these are others.
_FIRST_BYTES = (0x00, 0xFE, 0x55, 0xAA, 0x33, 0xCC, 0x0F, 0xF0)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_NUM_COEFFICIENTS = 64
_NUM_BLOCKS = 32
_MOST_SEGMENTS = 10_000


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    body: bytes


def whole_jpeg(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG with its end marker put back, and a note; the same bytes if it has one.

    Raises:
        ImageRejected: a pixel is missing.
    """
    if data.endswith(_END):
        return data, ()
    segments = list(islice(_segments(data), _MOST_SEGMENTS))
    if not segments or segments[-1].marker in (_FRAMES | {_END_OF_IMAGE}):
        return data, ()
    if not _has_every_scan(segments):
        raise truncated("a scan is missing")
    data = data.rstrip(b"\xff")  # half an end marker
    picture = _pixels(data + _END)
    next_restart = len(_RESTART.findall(data, data.rindex(b"\xff\xda")))
    if not all(np.array_equal(_pixels(data + tail), picture) for tail in _tails(next_restart)):
        raise truncated("the end marker is lost, and pixels with it")
    return data + _END, ("the end marker is missing, every pixel is there",)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield what says which coefficients there are, frame and scans, up to the end marker.

    Ends too where the file ends, or where no marker stands.
    """
    position = 2
    while found := _MARKER.search(data, position):
        marker, start = found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            yield _Segment(marker, b"")
            return
        length = 0 if marker in _WITHOUT_LENGTH else int.from_bytes(data[start : start + 2])
        if start + length > len(data) or (length < 2 and marker not in _WITHOUT_LENGTH):
            return
        if marker in _FRAMES or marker == _START_OF_SCAN:
            yield _Segment(marker, data[start + 2 : start + length])
        position = start + length


def _has_every_scan(segments: list[_Segment]) -> bool:
    """Whether the scans carry each coefficient of each component to its last bit."""
    frame = next((segment.body for segment in segments if segment.marker in _FRAMES), b"")
    components = set(frame[6 : 6 + 3 * (frame[5] if len(frame) > 5 else 0) : 3])
    known: set[tuple[int, int]] = set()
    for segment in segments:
        if segment.marker != _START_OF_SCAN or not segment.body:
            continue
        num = segment.body[0]
        first, last, bits = (*segment.body[1 + 2 * num : 4 + 2 * num], 0, 0, 15)[:3]
        if bits & 15 == 0:
            covered = range(first, last + 1)
            known |= {(c, k) for c in segment.body[1 : 1 + 2 * num : 2] for k in covered}
    return bool(components) and all(
        (component, k) in known for component in components for k in range(_NUM_COEFFICIENTS)
    )


def _tails(next_restart: int) -> Iterator[bytes]:
    """Yield endings of noise that would be pixels, in every restart interval that may be missing.

    Args:
        next_restart: the number of the restart marker that comes next; they count modulo 8.
    """
    rng = np.random.default_rng(0)
    for first in _FIRST_BYTES:
        noise = rng.integers(0, 255, (_NUM_BLOCKS, 256), dtype=np.uint8)  # 255 begins a marker
        noise[:, 0] = first
        numbers = range(next_restart, next_restart + _NUM_BLOCKS)
        restarts = [bytes((0xFF, 0xD0 + number % 8)) for number in numbers]
        pairs = zip(noise, restarts, strict=True)
        yield b"".join(block.tobytes() + restart for block, restart in pairs) + _END


def _pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image)
    except OSError as error:
        raise truncated(in_words(error)) from error
