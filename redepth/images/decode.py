"""From a file's bytes to an upright 8-bit RGB picture, at its own size or one that is asked for.

Decisions, once:
- The content decides what a file is, never its name, and which decoder sees it (`openers`).
- 16-bit and 32-bit samples are scaled by their bit depth (65535 -> 255): nothing is stretched, a
  dim picture stays dim. Float samples have no bit depth: 0..1 is read as 0..255, and a file that
  leaves that range is rejected, for its white point would be a guess.
- Colours with a profile that is not sRGB's are converted to sRGB (`colour`).
- Every pixel of the first frame is there: decoded, with a note of what is damaged besides. Any is
  missing: rejected (`damage`). `LOAD_TRUNCATED_IMAGES` is never set: it turns damaged files into
  pictures with black areas.
- A JPEG much larger than what is asked for is decoded at 1/2, 1/4 or 1/8 of its size, where that
  leaves twice the size that is asked for (`reduced_scale`): the decoder still reads all of the
  file, and computes fewer pixels. What is seen of them the bicubic filter decides, as always.

Any number of threads may decode at once (`picture.process_wide`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from redepth.config import Decoding
from redepth.errors import ImageRejected, PhotographGone, RedepthError
from redepth.geometry.sizes import TargetSize
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.archives.members import is_in_archive, read_member
from redepth.images.archives.parquet_images import NamedFile, is_in_parquet, read_from_parquet
from redepth.images.archives.tar_images import read_range
from redepth.images.camera import exif_focal_px
from redepth.images.opening import WEB, open_source
from redepth.images.picture.coded_colours import note_on_exif
from redepth.images.picture.colour import to_srgb
from redepth.images.picture.damage import CUT
from redepth.images.picture.openers import open_picture, require_size, too_large
from redepth.images.picture.process_wide import PILLOW_LIMIT
from redepth.images.picture.signatures import what_it_looks_like
from redepth.images.picture.tiff import is_signed_byte, sample_range
from redepth.images.reading import read_regular
from redepth.images.reading import require_size as require_num_bytes
from redepth.images.ref_texts import name_note
from redepth.images.uris import is_local, protocol_of
from redepth.redaction import lost_password, shown
from redepth.storage_errors import Fault, classify, explained, in_words, server_code
from redepth.types import ByteImage, DecodedImage, ImageRef

_BYTES_PER_PIXEL_AT_MOST = 16  # four float32 samples, uncompressed
_MAX_BYTES = "labels.decoding.max_bytes"
_EXIF_ORIENTATION = 0x0112
_CUT_SHORT = ("truncated", "end of file")
# EXIF orientations: by which height and width change places; that bring the stored right or lower
# end to the left, and to the top.
_ON_ITS_SIDE, _ENDS_AT_LEFT, _ENDS_AT_TOP = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
_LEAST_REDUCED = 2  # times the pixels a side that are wanted, at a reduced scale

# Pillow logs what it then raises; with no logging set up that would reach the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A fully decoded first frame, what had to be said about it, and how it was turned (EXIF)."""

    image: Image.Image
    notes: tuple[str, ...] = ()
    orientation: int = 1

    def then(self, image: Image.Image, *notes: str) -> _Picture:
        return replace(self, image=image, notes=(*self.notes, *notes))


def read_image(
    ref: ImageRef,
    settings: Decoding,
    allowed: Allowed = ANYTHING,
    target: TargetSize | None = None,
) -> DecodedImage:
    """Read and decode one listed image; `target` as in `decode`.

    Raises:
        ImageRejected, TransientError, ConfigError: as `read_bytes`; or it is not a usable picture.
    """
    return decode(read_bytes(ref, settings, allowed), settings, target)


def decode(data: bytes, settings: Decoding, target: TargetSize | None = None) -> DecodedImage:
    """Decode a file's bytes to an upright uint8 RGB picture, at the size that is wanted of it.

    Steps: header, limits, whole first frame, orientation, 8 bits a sample, sRGB, over background,
    size (bicubic, antialiased when shrinking). The same bytes give the same picture wherever Pillow
    has the same version. Silent, but for libtiff, which prints its own complaint about a damaged
    TIFF to stderr.

    Args:
        target: returns, of the photograph's height and width, those that are wanted. Without it
            they are the photograph's own, and every pixel is decoded.

    Raises:
        ImageRejected: with the reason in words.
    """
    if not data:
        raise ImageRejected("the file is empty")
    # What `target` raises is no fault of the file's: it is called outside of `rejecting`.
    rejecting = partial(_rejecting, data, settings)
    with PILLOW_LIMIT.at(max(1, int(settings.max_megapixels * 1e6))), ExitStack() as stack:
        with rejecting():
            opened = stack.enter_context(open_picture(data, settings).closing())
        image, stored_px = opened.image, opened.image.size
        scale = 1
        if target is not None and opened.has_scales and settings.reduced_scale:
            scale = _reduce(image, target)
        with rejecting():
            picture = _loaded(image) if opened.is_upright else _upright(image)
            size_hw = _full_size(picture, stored_px if opened.has_scales else None)
            require_size(*size_hw[::-1], settings)  # what decoding made of the header's
            focal_px, exif_notes = _read_exif(image, *stored_px)
            picture = _in_srgb(_eight_bit(picture), image.info.get("icc_profile"))
            picture = _over_background(picture, settings)
        wanted_hw = size_hw if target is None else target(*size_hw)
        with rejecting():
            rgb_hw3 = _resized(picture, size_hw, scale, wanted_hw)
            notes = (*opened.notes, *_frame_note(image), *picture.notes, *exif_notes)
    sha256 = hashlib.sha256(data).hexdigest()
    return DecodedImage(rgb_hw3, *size_hw, sha256, opened.file_format, notes, focal_px)


@contextmanager
def _rejecting(data: bytes, settings: Decoding) -> Iterator[None]:
    """Reject a file for whatever a decoder raises of it: OSError, SyntaxError, ValueError, ..."""
    try:
        yield
    except ImageRejected:
        raise
    except Exception as error:
        raise ImageRejected(_reason(error, data, settings)) from error


def read_bytes(ref: ImageRef, settings: Decoding, allowed: Allowed) -> bytes:
    """Read the bytes of one image.

    Args:
        allowed: what may be read; what is named beyond it is rejected, unread.

    Raises:
        ImageRejected: it may not be read, is gone, unreadable for us or too large; says which.
        TransientError: the storage answered badly (connection, 5xx, time-out).
        ConfigError: no image of this storage can be read (no credentials, package missing).
    """
    if ref.size_bytes is not None:
        _require_plausible_size(ref.size_bytes, settings)
    if lost_password(ref.uri):
        raise ImageRejected(
            "its address has a user or a password in it, which nothing may store or show: leave it "
            "out of the list and set the credentials in the environment"
        )
    uri = ref.uri if ref.opens is None else ref.opens.get_secret_value()
    allowed.require(uri)
    try:
        if ref.offset_bytes is not None:
            return read_range(ref, allowed)
        if is_in_parquet(uri):
            stored = read_from_parquet(uri, allowed)
            if isinstance(stored, NamedFile):
                return read_bytes(ImageRef(ref.id, stored.uri), settings, stored.allowed)
            content = stored
        elif is_in_archive(uri):
            return read_member(uri, allowed, settings.max_bytes, _MAX_BYTES)
        elif is_local(uri):
            path = allowed.real_path(uri)
            return read_regular(path, settings.max_bytes, _MAX_BYTES)
        else:
            content = _read_remote(uri, settings, allowed)
    except RedepthError:
        raise
    except MemoryError as error:  # pyarrow's too
        raise ImageRejected(f"{uri}: reading it does not fit into memory") from error
    except Exception as error:  # every fsspec implementation raises its own kinds
        fault = classify(error)
        if fault is None:
            raise
        raise _for_the_caller(fault, uri, error) from error
    require_num_bytes(len(content), settings.max_bytes, _MAX_BYTES)
    return content


def _read_remote(uri: str, settings: Decoding, allowed: Allowed) -> bytes:
    """Read no more of an object than tells that it is too large; over HTTP see `opening`."""
    filesystem, path = open_source(uri, allowed.hosts_for(uri), settings.max_bytes)
    if protocol_of(uri) in WEB:
        return bytes(filesystem.cat_file(path))
    try:
        return bytes(filesystem.cat_file(path, start=0, end=settings.max_bytes + 1))
    except Exception as error:
        if server_code(error) == "InvalidRange":  # S3's word for any range of an empty object
            return b""
        raise


def _for_the_caller(fault: Fault, uri: str, error: Exception) -> RedepthError:
    """Tell what concerns this one file from what would befall every other too."""
    said = in_words(error)
    match fault:
        case Fault.MISSING | Fault.NO_BUCKET | Fault.NOT_A_FOLDER:
            return PhotographGone(f"{shown(uri)} is no longer there ({said}){name_note(uri)}")
        case Fault.REFUSED:
            return ImageRejected(f"{shown(uri)} cannot be read: the storage refuses it ({said})")
        case _:
            return explained(fault, uri, error)


def _require_plausible_size(size_bytes: int, settings: Decoding) -> None:
    """Refuse, unread, what is larger than the largest allowed picture could ever be."""
    limit_bytes = settings.max_megapixels * 1e6 * _BYTES_PER_PIXEL_AT_MOST + 2**24
    if size_bytes > limit_bytes:
        raise ImageRejected(
            f"the file has {size_bytes / 1e6:.0f} MB, a picture of {settings.max_megapixels:g} "
            f"megapixels at most {limit_bytes / 1e6:.0f} MB (decoding.max_megapixels)"
        )
    require_num_bytes(size_bytes, settings.max_bytes, _MAX_BYTES)


def _reduce(image: Image.Image, target: TargetSize) -> int:
    """Have a JPEG decoded at the least scale that leaves twice its target; return 1 / scale."""
    orientation = _orientation(image)
    wanted_hw = target(*_turned(image.height, image.width, orientation))
    height_px, width_px = _turned(*wanted_hw, orientation)
    stored_width_px = image.width
    least_px = _LEAST_REDUCED * width_px, _LEAST_REDUCED * height_px
    drafted = image.draft(image.mode, least_px)
    return 1 if drafted is None else round(stored_width_px / drafted[1][2])


def _loaded(image: Image.Image) -> _Picture:
    """Decode the whole first frame of a picture that its decoder turns."""
    image.load()
    return _Picture(image)


def _upright(image: Image.Image) -> _Picture:
    """Decode the whole first frame and turn it as its EXIF or XMP says."""
    said_in_header = _orientation(image)
    image.load()  # turns a TIFF by itself
    orientation = max(said_in_header, _orientation(image))  # a PNG may say it after the pixels
    as_stored = image.im
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # a damaged EXIF block does not spoil the pixels
        if image.im is as_stored:
            said = f"orientation not readable ({in_words(error)}), taken as upright"
            return _Picture(image, (said,))
    notes = (f"turned upright (EXIF orientation {orientation})",) * (orientation > 1)
    return _Picture(image, notes, orientation)


def _full_size(picture: _Picture, stored_px: tuple[int, int] | None) -> tuple[int, int]:
    """Return height and width of the upright photograph.

    Args:
        stored_px: width and height before it was turned, if it may be decoded at a reduced scale.
    """
    if stored_px is None:
        return picture.image.height, picture.image.width
    return _turned(stored_px[1], stored_px[0], picture.orientation)


def _turned(height_px: int, width_px: int, orientation: int) -> tuple[int, int]:
    is_on_its_side = orientation in _ON_ITS_SIDE
    return (width_px, height_px) if is_on_its_side else (height_px, width_px)


def _resized(
    picture: _Picture, full_hw: tuple[int, int], scale: int, wanted_hw: tuple[int, int]
) -> ByteImage:
    """Bring a picture that was decoded at 1 / scale to the size that is wanted.

    Where scale does not divide a side, a last row or column reaches beyond the photograph, or, of
    a picture that was turned, a first one does: it counts as far as it lies within.
    """
    image = picture.image
    if wanted_hw == (image.height, image.width):
        return np.array(image, dtype=np.uint8)
    height, width = (side_px / scale for side_px in full_hw)
    left = image.width - width if picture.orientation in _ENDS_AT_LEFT else 0.0
    top = image.height - height if picture.orientation in _ENDS_AT_TOP else 0.0
    box = (left, top, left + width, top + height)
    return np.array(image.resize(wanted_hw[::-1], Image.Resampling.BICUBIC, box), dtype=np.uint8)


def _read_exif(
    image: Image.Image, width_px: int, height_px: int
) -> tuple[float | None, tuple[str, ...]]:
    """Return the focal length in pixels that EXIF tells, and what had to be said about it."""
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
        colour_notes = note_on_exif(image)
    except Exception as error:  # a damaged EXIF block does not spoil the pixels
        return None, (f"EXIF not readable ({in_words(error)}), ignored",)
    focal_px, focal_notes = exif_focal_px(tags, width_px, height_px)
    return focal_px, (*colour_notes, *focal_notes)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # said by _upright, which meets the same error
        return 1
    return orientation if orientation in range(2, 9) else 1


def _eight_bit(picture: _Picture) -> _Picture:
    """Scale wide grey samples to 8 bits by their depth; other modes are 8 bits already."""
    image = picture.image
    full_scale, is_inverted = sample_range(image)
    if image.mode == "F":
        grey = _grey_from_float(image)
        grey = ImageOps.invert(grey) if is_inverted else grey
        return picture.then(grey, "float samples: 0..1 read as 0..255")
    if image.mode != "I" and not image.mode.startswith("I;16") and not is_signed_byte(image):
        return picture
    samples_hw = np.asarray(image).astype(np.int64)
    if full_scale == 2**32 - 1:
        samples_hw %= 2**32  # Pillow keeps unsigned 32-bit samples in signed ones
    if is_signed_byte(image):
        samples_hw = (samples_hw ^ 128) - 128
    grey_hw = (samples_hw.clip(0, full_scale) * 255 + full_scale // 2) // full_scale
    grey_hw = 255 - grey_hw if is_inverted else grey_hw
    note = f"grey of 0..{full_scale} scaled to 0..255"
    return picture.then(_with_colour_key(grey_hw.astype(np.uint8), samples_hw, image), note)


def _in_srgb(picture: _Picture, profile: bytes | None) -> _Picture:
    """Convert to sRGB the colours of a picture whose profile says that they are others."""
    image, notes = to_srgb(picture.image, profile)
    return picture.then(image, *notes)


def _with_colour_key(
    grey_hw: npt.NDArray[np.uint8], samples_hw: npt.NDArray[np.int64], image: Image.Image
) -> Image.Image:
    """Carry a 16-bit PNG's transparent grey value over as an alpha channel."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return Image.fromarray(grey_hw)
    alpha_hw = np.where(samples_hw == key, 0, 255).astype(np.uint8)
    return Image.merge("LA", (Image.fromarray(grey_hw), Image.fromarray(alpha_hw)))


def _grey_from_float(image: Image.Image) -> Image.Image:
    samples_hw = np.asarray(image, dtype=np.float64)
    low, high = float(samples_hw.min()), float(samples_hw.max())
    if not (low >= 0.0 and high <= 1.0):  # NaN fails both
        raise ImageRejected(
            f"float samples from {low:g} to {high:g}: only 0..1 has a known white point; "
            "convert the file to 8 or 16 bits"
        )
    return Image.fromarray((samples_hw * 255 + 0.5).astype(np.uint8))


def _over_background(picture: _Picture, settings: Decoding) -> _Picture:
    """Bring every mode to RGB, transparency composited over the stated background.

    CMYK needs nothing here: Pillow's JPEG reader has already undone Adobe's inversion.
    """
    image = picture.image
    if not image.has_transparency_data:
        return picture if image.mode == "RGB" else picture.then(image.convert("RGB"))
    rgba = _with_alpha(image)
    lowest_alpha = rgba.getchannel("A").getextrema()[0]
    background = Image.new("RGBA", rgba.size, (*settings.background, 255))
    rgb = Image.alpha_composite(background, rgba).convert("RGB")
    note = "transparency over rgb({}, {}, {})".format(*settings.background)
    return picture.then(rgb, *([note] if lowest_alpha != 255 else []))


def _with_alpha(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # premultiplied grey: the one mode Pillow has no way from to RGBA
        image = image.convert("LA")
    return image.convert("RGBA")


def _frame_note(image: Image.Image) -> tuple[str, ...]:
    """Say which of several frames it is; the first is whole, whatever the others are."""
    position = image.tell()
    try:
        num_frames = getattr(image, "n_frames", 1)
    except Exception as error:  # damage in a later page or frame
        return (f"first frame; a later one is damaged ({in_words(error)})",)
    if num_frames <= 1:
        return ()
    which = "first" if position == 0 else f"the primary one, number {position + 1},"
    return (f"{which} of {num_frames} frames",)


def _reason(error: Exception, data: bytes, settings: Decoding) -> str:
    """Put a decoder's exception into words for the person who looks through the catalogue."""
    said = in_words(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"{too_large(settings)} ({said.partition(' exceeds')[0]})"
    if isinstance(error, UnidentifiedImageError):
        return what_it_looks_like(data)
    if isinstance(error, ImportError):  # an extra that is there and does not fit this machine
        return f"the package that reads it cannot be loaded: {said}; install it anew"
    if isinstance(error, MemoryError):
        return "decoding it does not fit into memory"
    if isinstance(error, EOFError) or any(word in said.lower() for word in _CUT_SHORT):
        return f"{CUT} ({said})"
    return f"damaged: {said} ({type(error).__name__})"
