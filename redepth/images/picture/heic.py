"""HEIC, what iPhones write, by pillow-heif (libheif, libde265): the extra `redepth[heic]`.

The primary picture is taken; the others of a burst, thumbnails, depth and gain maps are not
decoded. libheif turns a picture as its boxes say, and only they count (ISO 23008-12): EXIF says
the same once more. 10 bits become 8.
"""

from __future__ import annotations

import io

from PIL import Image

from redepth.errors import ImageRejected
from redepth.images.picture.formats import HEIC
from redepth.images.picture.process_wide import SWITCHES
from redepth.storage_errors import in_words


def open_heic(data: bytes) -> Image.Image:
    """Open a HEIC file at its primary picture, upright once it is loaded.

    Raises:
        ImageRejected: the extra is not installed, or the file is damaged.
    """
    HEIC.require_for("a HEIC photograph")
    import pillow_heif
    from pillow_heif.as_plugin import HeifImageFile

    alone = {"THUMBNAILS": False, "DEPTH_IMAGES": False, "AUX_IMAGES": False}
    try:
        with SWITCHES.at(pillow_heif.options, **alone):
            image: Image.Image = HeifImageFile(io.BytesIO(data))
    except SyntaxError as error:
        raise ImageRejected(
            f"damaged: begins like HEIC, but cannot be opened ({in_words(error)})"
        ) from error
    return image
