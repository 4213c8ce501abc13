"""Several threads decode at once: the results of one, side by side, and nothing left behind."""

from __future__ import annotations

import io
import struct
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, TiffImagePlugin

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images import decode as decode_module
from redepth.images.allowed import ANYTHING
from redepth.images.archives import parquet_images
from redepth.images.archives.shared_cache import shared_cache
from redepth.images.collection import list_images
from redepth.images.decode import decode, read_bytes
from redepth.images.picture.process_wide import PillowLimit, Switches
from tests.images.icc_profiles import ADOBE_RGB, D65, DISPLAY_P3, rgb_profile, srgb_curve

SETTINGS = Decoding(min_side_px=1, max_megapixels=0.1)
DEADLINE_S = 20
GIF_BOMB = b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3) + b","

pillow_heif.register_heif_opener()  # to write with


def scene(seed: int = 0) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((180, 120), Image.Resampling.BICUBIC)


def encoded(file_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (scene() if image is None else image).save(file, file_format, **options)
    return file.getvalue()


def png_bomb() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + bytes(100)


def planar_tiff() -> bytes:
    """Samples of 16 bits in planes, not compressed: only libtiff reads them rightly."""
    planes = np.arange(3 * 24 * 32, dtype="<u2").reshape(3, 24, 32) * 28
    entries = [
        (256, 3, 1, 32), (257, 3, 1, 24), (258, 3, 3, 170), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 3, 176), (277, 3, 1, 3), (278, 3, 1, 24), (279, 4, 3, 188), (284, 3, 1, 2),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)
    head = head.ljust(170, b"\0") + struct.pack("<3H", 16, 16, 16)
    size = planes[0].nbytes
    head += struct.pack("<3I", *(200 + i * size for i in range(3))) + struct.pack(
        "<3I", *[size] * 3
    )
    return head.ljust(200, b"\0") + planes.tobytes()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


PICTURES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encoded("JPEG"),
    "jpeg, turned": lambda: encoded("JPEG", exif=exif(6)),
    "jpeg, Display P3": lambda: encoded(
        "JPEG", icc_profile=rgb_profile(DISPLAY_P3, D65, srgb_curve())
    ),
    "jpeg, Adobe RGB": lambda: encoded(
        "JPEG", icc_profile=rgb_profile(ADOBE_RGB, D65, srgb_curve())
    ),
    "jpeg, cut": lambda: encoded("JPEG")[:-300],
    "jpeg, CMYK": lambda: encoded("JPEG", scene().convert("CMYK")),
    "png": lambda: encoded("PNG"),
    "png, damaged": lambda: encoded("PNG")[:-60],
    "png, bomb": png_bomb,
    "gif, bomb": lambda: GIF_BOMB,
    "too large": lambda: encoded("PNG", Image.new("L", (400, 300))),
    "tiff": lambda: encoded("TIFF"),
    "tiff, planar 16 bits": planar_tiff,
    "webp": lambda: encoded("WEBP"),
    "avif": lambda: encoded("AVIF"),
    "heic": lambda: encoded("HEIF"),
    "jpeg 2000": lambda: encoded("JPEG2000"),
    "text": lambda: b"<html>",
}


def outcome(data: bytes) -> tuple[object, ...]:
    try:
        result = decode(data, SETTINGS, lambda height_px, width_px: (20, 30))
    except ImageRejected as rejection:
        return (str(rejection),)
    return (result.rgb_hw3.tobytes(), result.height_px, result.width_px, result.notes)


@contextmanager
def in_threads(number: int) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(number) as threads:
        yield threads


def test_threads_have_the_results_of_one() -> None:
    pictures = [make() for make in PICTURES.values()]
    alone = [outcome(data) for data in pictures]
    assert sum(len(found) == 1 for found in alone) == 6, "these are rejected"
    order = np.random.default_rng(0).permutation(np.tile(np.arange(len(pictures)), 12))
    with in_threads(8) as threads:
        together = list(threads.map(lambda at: outcome(pictures[at]), order))
    for at, found in zip(order, together, strict=True):
        assert found == alone[at], list(PICTURES)[at]


def test_decodes_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits, its picture half decoded, until the other is as far."""
    both = threading.Barrier(2, timeout=DEADLINE_S)
    upright = decode_module._upright

    def waiting(image: Image.Image) -> decode_module._Picture:
        both.wait()
        return upright(image)

    monkeypatch.setattr(decode_module, "_upright", waiting)
    data = encoded("JPEG")
    with in_threads(2) as threads:
        first, second = threads.map(lambda _: decode(data, SETTINGS), range(2))
    assert np.array_equal(first.rgb_hw3, second.rgb_hw3)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def process_wide() -> tuple[object, ...]:
    options = pillow_heif.options
    switches = (options.THUMBNAILS, options.DEPTH_IMAGES, options.AUX_IMAGES)
    filters = (id(warnings.filters), list(warnings.filters))
    return Image.MAX_IMAGE_PIXELS, filters, TiffImagePlugin.READ_LIBTIFF, switches


def test_nothing_is_left_to_the_program_that_calls() -> None:
    before = process_wide()
    assert before[2:] == (False, (True, True, True)), "another test has left something behind"
    with in_threads(4) as threads:
        list(threads.map(outcome, [make() for make in PICTURES.values()] * 3))
    assert process_wide() == before


def test_warnings_of_others_are_heard_and_pillows_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def warns(image: Image.Image) -> decode_module._Picture:
        warnings.warn("of a model that runs meanwhile", stacklevel=1)
        warnings.warn_explicit("of Pillow", UserWarning, "Image.py", 1, module="PIL.Image")
        return decode_module._loaded(image)

    monkeypatch.setattr(decode_module, "_upright", warns)
    with pytest.warns(UserWarning) as caught:
        decode(encoded("JPEG"), SETTINGS)
    assert [str(warning.message) for warning in caught] == ["of a model that runs meanwhile"]


def test_a_decode_with_another_limit_waits_and_is_not_overtaken() -> None:
    limit, order = PillowLimit(), list[object]()
    begun, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with limit.at(100):
            order.append(Image.MAX_IMAGE_PIXELS)
            begun.set()
            may_end.wait(DEADLINE_S)
            order.append("the first ends")

    def later(max_pixels: int) -> None:
        with limit.at(max_pixels):
            order.append(Image.MAX_IMAGE_PIXELS)

    with in_threads(3) as threads:
        futures = [threads.submit(first)]
        begun.wait(DEADLINE_S)
        futures.append(threads.submit(later, 200))
        wait_until(limit._turnstile.locked)
        futures.append(threads.submit(later, 100))
        may_end.set()
        for future in futures:
            future.result(DEADLINE_S)
    assert order == [100, "the first ends", 200, 100]


def test_a_switch_is_one_threads_at_a_time() -> None:
    module, switches = SimpleNamespace(reads_more=None), Switches()

    def seen(number: int) -> object:
        with switches.at(module, reads_more=number):
            time.sleep(0.001)  # the others have their turn
            return module.reads_more

    with in_threads(8) as threads:
        assert list(threads.map(seen, range(40))) == list(range(40))
    assert module.reads_more is None


def test_a_forked_process_does_not_wait_for_its_parents_threads() -> None:
    before = process_wide()
    limit = PillowLimit()
    limit.at(100).__enter__()  # by a thread that the child does not have
    limit.after_fork()
    assert process_wide() == before
    child = threading.Thread(target=lambda: limit.at(200).__enter__(), daemon=True)
    child.start()
    child.join(DEADLINE_S)
    assert not child.is_alive()
    limit.after_fork()
    assert process_wide() == before


def test_threads_read_from_one_container(tmp_path: Path) -> None:
    """One zip and one row group are open for all of them, and are read as by one."""
    pictures = [encoded("PNG", scene(seed)) for seed in range(12)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(pictures):
            archive.writestr(f"{number:02}.png", content)
    pq.write_table(pa.table({"image": pictures}), tmp_path / "all.parquet", row_group_size=6)
    zipped = list(list_images(f"zip://*.png::{tmp_path}/all.zip"))
    rows = list(list_images(str(tmp_path / "all.parquet")))
    parquet_images._row_group.cached.cache_clear()
    refs = [*zipped, *rows] * 4
    with in_threads(8) as threads:
        found = list(threads.map(lambda ref: read_bytes(ref, SETTINGS, ANYTHING), refs))
    assert found == pictures * 8
    assert parquet_images._row_group.cached.cache_info().misses == 2


def test_what_a_container_is_read_for_is_read_once() -> None:
    reads: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    @shared_cache(maxsize=2)
    def index(place: str) -> list[str]:
        reads.append(place)
        begun.set()
        go_on.wait(DEADLINE_S)
        return [place]

    with in_threads(4) as threads:
        found = [threads.submit(index, "a")]
        begun.wait(DEADLINE_S)
        found += [threads.submit(index, "a") for _ in range(3)]
        go_on.set()
        results = [future.result(DEADLINE_S) for future in found]
    assert reads == ["a"]
    assert all(result is results[0] for result in results)


def test_an_error_is_not_kept() -> None:
    answers = iter([OSError("away"), None])

    @shared_cache(maxsize=2)
    def index(place: str) -> str:
        answer = next(answers)
        if answer is not None:
            raise answer
        return place

    with pytest.raises(OSError, match="away"):
        index("a")
    assert index("a") == "a"
