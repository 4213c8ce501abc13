"""A picture in any form that Python has for one, as the bytes of an image file.

What is not a file becomes a PNG in memory, so that a photograph goes the same way, through the same
decoder, in whatever form it comes.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from torch import Tensor

from redepth.config import Decoding
from redepth.errors import PhotographGone
from redepth.images.allowed import ANYTHING
from redepth.images.decode import read_bytes
from redepth.redaction import shown
from redepth.types import ImageRef

Picture = str | os.PathLike[str] | Image.Image | npt.NDArray[np.generic] | Tensor

_CHANNELS = (1, 3, 4)
_FASTEST = 1  # zlib's level: the file is never stored
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def name_of(picture: Picture, content: bytes) -> str:
    """Return a file's name without its suffix; of what has none, a digest of its content."""
    if isinstance(picture, str | os.PathLike):
        return file_name(picture)
    return hashlib.sha256(content).hexdigest()[:16]


def file_name(path: str | os.PathLike[str]) -> str:
    """Return what the maps of a file are named after: its name without the suffix."""
    return Path(os.fspath(path)).stem


def content_of(picture: Picture, settings: Decoding) -> bytes:
    """Return a picture as the bytes of an image file.

    Args:
        picture: a path or URL; a PIL image; an array [H, W], [H, W, 3] or [H, W, 4]; a tensor
            [C, H, W]. Numbers are uint8, uint16 (grey alone), or floats in 0..1.

    Raises:
        ImageRejected: no such file, or one that cannot be read.
        ValueError: numbers of another shape, type or range.
    """
    if isinstance(picture, list | tuple):
        raise ValueError("one picture a call: Refiner.many or redepth.refine take several")
    if isinstance(picture, str | os.PathLike):
        return _read(os.fspath(picture), settings)
    if isinstance(picture, Image.Image):
        return _png(_upright(picture))
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu().numpy()
        if picture.ndim == 3:
            picture = np.moveaxis(picture, 0, 2)
    return _png(Image.fromarray(_eight_bit(np.asarray(picture))))


def _read(where: str, settings: Decoding) -> bytes:
    try:
        return read_bytes(ImageRef(where, where), settings, ANYTHING)
    except PhotographGone as error:  # its words are for what a list named and was there once
        raise PhotographGone(f"{shown(where)}: no such file") from error


def _upright(image: Image.Image) -> Image.Image:
    turned = ImageOps.exif_transpose(image)
    return turned if turned.mode in _PNG_MODES else turned.convert("RGB")


def _eight_bit(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return an array that PIL knows: uint8, or uint16 of grey."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in _CHANNELS):
        raise ValueError(
            f"a picture has the shape [H, W], [H, W, 3] or [H, W, 4] (a tensor [C, H, W]), got "
            f"{list(values.shape)}"
        )
    if values.dtype == np.uint8 or (values.dtype == np.uint16 and values.ndim == 2):
        return values
    if values.dtype.kind != "f":
        raise ValueError(f"a picture is uint8, or floats in 0..1, got {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"a picture of floats lies in 0..1, got {low:g}..{high:g}")
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=_FASTEST)
    return file.getvalue()
