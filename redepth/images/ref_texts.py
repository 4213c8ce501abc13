"""What a listing says of an image, as text that a catalogue can hold and a person can be shown.

Names of files are left as they are, since they have to open the files; what shows them makes them
printable.
"""

from __future__ import annotations

from redepth.images.uris import canonical_id, uri_digest
from redepth.printable import REPLACEMENT, one_line, printable
from redepth.types import ImageRef


def as_text(ref: ImageRef) -> ImageRef:
    """Return an image with a printable id and caption, and a uri that is valid Unicode.

    An id that had to be changed ends in a digest of what it was: different ones stay different. A
    uri that is not valid Unicode has U+FFFD in it from now on, and reading it ends in a rejection.
    """
    caption = ref.caption
    if ref.id.isprintable() and ref.uri.isprintable() and (not caption or caption.isprintable()):
        return ref if ref.id else ref._replace(id=canonical_id(ref.uri))
    return ref._replace(
        id=_own_id(ref.id) or canonical_id(ref.uri),
        uri=ref.uri.encode(errors="surrogatepass").decode(errors="replace"),
        caption=None if caption is None else printable(caption),
    )


def is_broken(uri: str) -> bool:
    """Whether a name had to be changed to be written down: it names no file any more."""
    return REPLACEMENT in uri


def name_note(uri: str) -> str:
    """Return what to say of the name of a file that is not there, "" if nothing is odd about it."""
    if is_broken(uri):
        return "; if its name is not valid UTF-8 (shown as U+FFFD here), rename the file"
    if "\\" in uri:
        return "; a backslash is a letter of a name here: write / between folders"
    return ""


def _own_id(image_id: str) -> str:
    shown = one_line(image_id)
    return shown if shown == image_id else f"{shown}-{uri_digest(image_id).hex()[:16]}"
