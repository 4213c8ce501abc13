"""JPEGs decoded at 1/2, 1/4 or 1/8 of their size: which, and that only their last bits differ."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.geometry.sizes import TargetSize
from redepth.images.decode import decode
from redepth.types import ByteImage, DecodedImage
from tests.images.icc_profiles import D65, DISPLAY_P3, rgb_profile, srgb_curve

REDUCED = Decoding(min_side_px=1)
WHOLE = Decoding(min_side_px=1, reduced_scale=False)
ORIENTATION, EXIF_IFD, FOCAL_35MM = 0x0112, 0x8769, 0xA405


def scene(height_px: int = 201, width_px: int = 333) -> Image.Image:
    """Slopes, a coloured corner, and grain of some pixels."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    slopes = np.stack([x * 200 // width_px, y * 200 // height_px, 100 + 0 * x], -1)
    slopes[: height_px // 4, : width_px // 4, 2] = 240
    coarse = (height_px // 6 + 1, width_px // 6 + 1)
    rough = np.random.default_rng(0).integers(0, 50, coarse, dtype=np.uint8)
    grain = np.asarray(
        Image.fromarray(rough).resize((width_px, height_px), Image.Resampling.BICUBIC)
    )
    return Image.fromarray((slopes + grain[..., None]).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (scene() if image is None else image).save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def mpo() -> bytes:
    file = io.BytesIO()
    scene().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (333, 201))])
    return file.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags.get_ifd(EXIF_IFD)[FOCAL_35MM] = 26
    return tags.tobytes()


def turned(orientation: int) -> bytes:
    return jpeg(exif=exif(orientation))


def at(height_px: int, width_px: int) -> TargetSize:
    return lambda height, width: (height_px, width_px)


def longest(side_px: int) -> TargetSize:
    """Return a rule that keeps the aspect."""

    def target(height: int, width: int) -> tuple[int, int]:
        scale = side_px / max(height, width)
        return max(round(height * scale), 1), max(round(width * scale), 1)

    return target


def resized(rgb_hw3: ByteImage, height_px: int, width_px: int) -> ByteImage:
    size = (width_px, height_px)
    return np.asarray(Image.fromarray(rgb_hw3).resize(size, Image.Resampling.BICUBIC))


def largest_scale(stored: int, wanted: int) -> int:
    return max(scale for scale in (1, 2, 4, 8) if scale == 1 or stored >= scale * 2 * wanted)


@given(st.integers(1, 120), st.integers(1, 200))
def test_the_least_scale_that_leaves_twice_the_size_on_both_sides(height: int, width: int) -> None:
    data = jpeg()
    result = decode(data, REDUCED, at(height, width))
    scale = min(largest_scale(201, height), largest_scale(333, width))
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (333 // scale, 201 // scale))
        assert image.width >= 2 * width or scale == 1
        assert image.height >= 2 * height or scale == 1
        whole = (0, 0, 333 / scale, 201 / scale)
        expected = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, whole))
    assert np.array_equal(result.rgb_hw3, expected)
    assert (result.height_px, result.width_px) == (201, 333)


@pytest.mark.parametrize("target", [at(20, 30), at(101, 167), at(300, 400)])
def test_the_setting_decodes_every_pixel(target: TargetSize) -> None:
    data = jpeg()
    every = decode(data, WHOLE)
    expected = resized(every.rgb_hw3, *target(201, 333))
    assert np.array_equal(decode(data, WHOLE, target).rgb_hw3, expected)
    is_reduced = target(201, 333) == (20, 30)
    assert np.array_equal(decode(data, REDUCED, target).rgb_hw3, expected) != is_reduced


def test_without_a_size_every_pixel_is_decoded() -> None:
    data = jpeg()
    assert np.array_equal(decode(data, REDUCED).rgb_hw3, decode(data, WHOLE).rgb_hw3)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG2000", "AVIF", "GIF", "HEIF"])
def test_other_formats_are_decoded_whole(file_format: str) -> None:
    """Also a HEIC with a thumbnail in it, which a program might take for the picture."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    image, file = scene(), io.BytesIO()
    image.info["thumbnails"] = [96]
    image.save(file, file_format)
    every = decode(file.getvalue(), REDUCED)
    small = decode(file.getvalue(), REDUCED, at(20, 30))
    assert np.array_equal(small.rgb_hw3, resized(every.rgb_hw3, 20, 30))
    assert (small.height_px, small.width_px) == (201, 333)


KINDS: dict[str, Callable[[], bytes]] = {
    "baseline": jpeg,
    "progressive": lambda: jpeg(progressive=True),
    "4:4:4": lambda: jpeg(subsampling="4:4:4"),
    "restart markers": lambda: jpeg(restart_marker_blocks=3),
    "grey": lambda: jpeg(scene().convert("L")),
    "CMYK": lambda: jpeg(scene().convert("CMYK")),
    "Display P3": lambda: jpeg(icc_profile=rgb_profile(DISPLAY_P3, D65, srgb_curve())),
    "damaged profile": lambda: jpeg(icc_profile=b"no profile at all"),
    "pair": mpo,
    "without its end": lambda: jpeg()[:-2],
    "more behind it": lambda: jpeg() + b"a phone's film",
    **{f"EXIF orientation {n}": partial(turned, n) for n in range(1, 9)},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_last_bits_of_pixels_differs(kind: str) -> None:
    data = KINDS[kind]()
    whole = decode(data, WHOLE, longest(40))
    reduced = decode(data, REDUCED, longest(40))
    assert not np.array_equal(reduced.rgb_hw3, whole.rgb_hw3), "it was reduced"
    difference = np.abs(reduced.rgb_hw3.astype(int) - whole.rgb_hw3)
    assert difference.mean() < 0.6
    assert difference.max() <= 6
    for name in ("height_px", "width_px", "sha256", "file_format", "notes", "focal_px"):
        assert getattr(reduced, name) == getattr(whole, name), name


@pytest.mark.parametrize(("height", "width"), [(256, 257), (257, 256), (255, 249)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_photographs_size_is_exact_where_the_reduced_ones_sides_are_equal(
    height: int, width: int, orientation: int
) -> None:
    data = jpeg(scene(height, width), exif=exif(orientation))
    expected = (width, height) if orientation == 6 else (height, width)
    found = decode(data, REDUCED, at(8, 8))
    assert (found.height_px, found.width_px) == expected


def test_the_size_rule_is_asked_of_the_upright_photograph() -> None:
    asked: list[tuple[int, int]] = []

    def target(height_px: int, width_px: int) -> tuple[int, int]:
        asked.append((height_px, width_px))
        return 40, 20

    decoded = decode(jpeg(exif=exif(6)), REDUCED, target)
    assert set(asked) == {(333, 201)}
    assert decoded.rgb_hw3.shape == (40, 20, 3)


def outcome(data: bytes, settings: Decoding) -> DecodedImage | str:
    try:
        return decode(data, settings, longest(12))
    except ImageRejected as rejection:
        return str(rejection)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_file_is_rejected_as_with_every_pixel(progressive: bool) -> None:
    """The decoder reads all coefficients at every scale: it misses the same ones."""
    data = jpeg(scene(48, 64), progressive=progressive)
    found = outcome(data, REDUCED)
    assert isinstance(found, DecodedImage)
    num_rejected = 0
    for cut in sorted({*range(0, len(data), 7), *range(len(data) - 20, len(data))}):
        reduced, whole = outcome(data[:cut], REDUCED), outcome(data[:cut], WHOLE)
        if isinstance(whole, str):
            assert reduced == whole, f"cut at {cut} of {len(data)}"
            num_rejected += 1
        else:
            assert isinstance(reduced, DecodedImage)
            assert np.array_equal(reduced.rgb_hw3, found.rgb_hw3)
    assert num_rejected > 100


@given(st.integers(0, 2**32 - 1))
def test_a_damaged_file_has_the_outcome_that_it_has_with_every_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(jpeg(scene(48, 64), progressive=bool(rng.integers(2)), restart_marker_rows=1))
    for at_byte in rng.integers(2, len(data), rng.integers(1, 6)):
        data[at_byte] = rng.integers(256)
    reduced, whole = outcome(bytes(data), REDUCED), outcome(bytes(data), WHOLE)
    assert isinstance(reduced, str) == isinstance(whole, str), (reduced, whole)
    if isinstance(reduced, str):
        assert reduced == whole


def test_limits_are_those_of_the_whole_picture() -> None:
    data = jpeg()
    at_the_limit = Decoding(min_side_px=201, max_megapixels=0.067)
    assert decode(data, at_the_limit, at(10, 10)).width_px == 333
    for limits in (Decoding(min_side_px=202), Decoding(max_megapixels=0.066)):
        with pytest.raises(ImageRejected, match="333 x 201 px: too"):
            decode(data, limits, at(10, 10))
