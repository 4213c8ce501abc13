"""Focal lengths: what EXIF and lists say, in pixels, and what of it cannot be."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError
from redepth.images.camera import exif_focal_px, focal_of_fov, fov_of_focal
from redepth.images.collection import list_images
from redepth.images.decode import decode

FILM, FOCAL, PLANE_X, PLANE_UNIT, WIDTH, HEIGHT = 0xA405, 0x920A, 0xA20E, 0xA210, 0xA002, 0xA003
DIAGONAL_PX, DIAGONAL_MM = 5000.0, (36**2 + 24**2) ** 0.5


@given(st.floats(1, 175), st.integers(1, 10_000))
def test_field_of_view_and_focal_length_are_one_thing(fov_deg: float, width_px: int) -> None:
    assert fov_of_focal(focal_of_fov(fov_deg, width_px), width_px) == pytest.approx(fov_deg)


@pytest.mark.parametrize(
    ("tags", "expected_px"),
    [
        ({FILM: 28}, 28 * DIAGONAL_PX / DIAGONAL_MM),
        # A sensor 8 mm wide with 4000 px: 500 a mm.
        ({FOCAL: 6.0, PLANE_X: 500.0, PLANE_UNIT: 4}, 3000.0),
        ({FOCAL: Fraction(6), PLANE_X: 12700.0, PLANE_UNIT: 2}, 3000.0),
        ({FOCAL: 6.0, PLANE_X: 12700.0}, 3000.0),
        ({FOCAL: 6.0, PLANE_X: 5000.0, PLANE_UNIT: 3}, 3000.0),
        # The file was made half as large, and EXIF still speaks of 8000 px.
        ({FOCAL: 6.0, PLANE_X: 1000.0, PLANE_UNIT: 4, WIDTH: 8000, HEIGHT: 6000}, 3000.0),
        ({FILM: 28, FOCAL: 6.0, PLANE_X: 1.0}, 28 * DIAGONAL_PX / DIAGONAL_MM),
        ({FILM: 0, FOCAL: 6.0, PLANE_X: 500.0, PLANE_UNIT: 4}, 3000.0),
        ({FOCAL: 6.0}, None),
        ({}, None),
    ],
)
def test_what_exif_says_in_pixels(tags: dict[int, Any], expected_px: float | None) -> None:
    focal_px, notes = exif_focal_px(tags, 4000, 3000)
    assert focal_px == (None if expected_px is None else pytest.approx(expected_px))
    assert notes == ()


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({FILM: 60000}, "FocalLengthIn35mmFilm cannot be"),
        ({FILM: -3}, "FocalLengthIn35mmFilm cannot be"),
        ({FILM: "wide"}, "FocalLengthIn35mmFilm not readable"),
        ({FOCAL: 6.0, PLANE_X: 1e9}, "FocalLength cannot be"),
        ({FOCAL: (1, 0), PLANE_X: 3.0}, "FocalLength not readable"),
    ],
)
def test_what_cannot_be_is_left_aside_with_a_note(tags: dict[int, Any], words: str) -> None:
    focal_px, notes = exif_focal_px(tags, 4000, 3000)
    assert focal_px is None
    assert len(notes) == 1 and words in notes[0]


def test_a_wrong_film_length_does_not_hide_a_right_one() -> None:
    tags = {FILM: 60000, FOCAL: 6.0, PLANE_X: 500.0, PLANE_UNIT: 4}
    focal_px, notes = exif_focal_px(tags, 4000, 3000)
    assert focal_px == pytest.approx(3000)
    assert len(notes) == 1


def test_a_turned_photograph_keeps_its_focal_length() -> None:
    image = Image.new("RGB", (80, 60))
    exif = image.getexif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[FILM] = 50
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    decoded = decode(file.getvalue(), Decoding(min_side_px=1))
    assert (decoded.width_px, decoded.height_px) == (60, 80)
    assert decoded.focal_px == pytest.approx(50 / DIAGONAL_MM * 100)
    assert decoded.notes == ("turned upright (EXIF orientation 6)",)


def test_a_zero_denominator_in_a_file_is_no_focal_length() -> None:
    """0/0 comes out of Pillow as NaN."""
    image = Image.new("RGB", (80, 60))
    exif = image.getexif()
    ifd = exif.get_ifd(0x8769)
    ifd[FOCAL], ifd[PLANE_X] = (0, 0), (500, 1)
    file = io.BytesIO()
    image.save(file, "TIFF", exif=exif)
    decoded = decode(file.getvalue(), Decoding(min_side_px=1))
    assert decoded.focal_px is None


# --- lists ----------------------------------------------------------------------------------------


def write_list(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        names = list(rows[0])
        lines = [",".join(names), *(",".join(str(row[n]) for n in names) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_list_says_a_focal_length_or_a_field_of_view(tmp_path: Path, suffix: str) -> None:
    empty = "" if suffix == ".csv" else None
    rows: list[dict[str, Any]] = [
        {"uri": "a.jpg", "focal_px": 3000.5, "fov_deg": empty},
        {"uri": "b.jpg", "focal_px": empty, "fov_deg": 60.0},
        {"uri": "c.jpg", "focal_px": empty, "fov_deg": empty},
    ]
    refs = list(list_images(str(write_list(tmp_path / f"list{suffix}", rows))))
    assert [(r.focal_px, r.fov_deg) for r in refs] == [(3000.5, None), (None, 60), (None, None)]


@pytest.mark.parametrize(
    ("focal_px", "fov_deg", "words"),
    [
        ("0", "", "line 2: focal_px is 0, expected a focal length above 0"),
        ("-3", "", "line 2: focal_px is -3"),
        ("50mm", "", "line 2: focal_px is '50mm', expected a number"),
        ("nan", "", "line 2: focal_px is 'nan'"),
        ("inf", "", "line 2: focal_px is 'inf'"),
        ("", "180", "line 2: fov_deg is 180, expected the horizontal field of view"),
        ("", "0.9", "line 2: fov_deg is 0.9"),
        ("", "-60", "line 2: fov_deg is -60"),
        ("900", "60", "line 2: it has focal_px 900 and fov_deg 60"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    tmp_path: Path, focal_px: str, fov_deg: str, words: str
) -> None:
    rows = [{"uri": "a.jpg", "focal_px": focal_px, "fov_deg": fov_deg}]
    with pytest.raises(ConfigError, match=words):
        list(list_images(str(write_list(tmp_path / "list.csv", rows))))


def test_a_parquet_of_images_may_say_it_too(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG")
    rows = [{"image": file.getvalue(), "focal_px": 40.0}, {"image": file.getvalue()}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "images.parquet")
    refs = list(list_images(str(tmp_path / "images.parquet")))
    assert [ref.focal_px for ref in refs] == [40.0, None]
