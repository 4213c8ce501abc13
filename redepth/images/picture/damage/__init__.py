"""Files that are damaged, and of which every pixel may still be there.

The rule, for every format: if every pixel of the first frame is there, the picture is decoded and a
note says what is wrong with the file; if any pixel is missing, it is rejected. Pixels are never
guessed, and what is missing is never painted grey.

Each format's function gets a file's bytes and returns bytes that Pillow decodes, with the notes; of
a sound file the same bytes and no note. It raises ImageRejected where a pixel is missing.
"""

from __future__ import annotations

from redepth.errors import ImageRejected

CUT = "truncated: the file ends before the picture does"


def truncated(where: str) -> ImageRejected:
    """Return the rejection of a file of which a part is missing."""
    return ImageRejected(f"{CUT} ({where})")
