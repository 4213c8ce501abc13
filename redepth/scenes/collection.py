"""Write scenes as a collection that `redepth label` reads, with the truth beside it.

    list.csv                      a row a scene: id, uri, caption, family, seed, split, kind, truth,
                                  and of objects focal_px, which `redepth label` takes
    images/<family>/<id>.png      what is labelled
    truth/<family>/<id>.npz       depth f32, normals f16, mask, light, and the camera of objects

Paths in the list are relative to it, so a collection can be moved. The list is written last:
without it, a collection is not complete.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.errors import ConfigError, IntegrityError
from redepth.geometry.camera import Pinhole
from redepth.images.data_files import read_npz, read_text
from redepth.scenes.families import render_scene, require_family
from redepth.scenes.scene import BoolMap, Scene, SceneKind, Split
from redepth.types import FloatMap

LIST_NAME = "list.csv"


@dataclass(frozen=True, slots=True)
class SceneRow:
    """One line of list.csv. `uri` and `truth` are paths relative to the list.

    `focal_px` is of objects, which a pinhole camera sees; None of reliefs, and in older lists.
    """

    id: str
    uri: str
    caption: str
    family: str
    seed: int
    split: Split
    kind: SceneKind
    truth: str
    focal_px: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SceneTruth:
    """What is known of a scene; fields as in `Scene`, normals of half precision made float32."""

    depth_hw: FloatMap
    normal_hw3: npt.NDArray[np.float32]
    mask_hw: BoolMap
    light_3: npt.NDArray[np.float32]
    camera: Pinhole | None


def write_collection(
    folder: Path,
    families: Sequence[str],
    count: int,
    size_px: int,
    split: Split,
    first_seed: int = 0,
    on_written: Callable[[], object] = lambda: None,
) -> list[SceneRow]:
    """Render `count` scenes of each family into `folder` and return the rows of its list.

    Seeds are first_seed, first_seed + 1, ...; the same arguments write the same scenes.

    Args:
        on_written: called after each scene, for a progress bar.

    Raises:
        ConfigError: a family that does not exist, or a folder that holds a collection already.
    """
    for family in families:
        require_family(family)
    if (folder / LIST_NAME).exists():
        raise ConfigError(f"{folder} holds a collection already: remove it or name another folder")
    rows = []
    for family in dict.fromkeys(families):
        for kind in ("images", "truth"):
            (folder / kind / family).mkdir(parents=True, exist_ok=True)
        for seed in range(first_seed, first_seed + count):
            rows.append(_write_scene(folder, render_scene(family, seed, size_px, split)))
            on_written()
    _write_list(folder / LIST_NAME, rows)
    return rows


def read_collection(folder: Path) -> list[SceneRow]:
    """Return the rows of a collection's list.

    Raises:
        ConfigError: there is no list.
        IntegrityError: the list is not one of scenes.
    """
    path = folder / LIST_NAME
    if not path.is_file():
        raise ConfigError(f"{folder} holds no {LIST_NAME}: make one with redepth scenes")
    try:
        return [_row(record) for record in csv.DictReader(io.StringIO(read_text(path), newline=""))]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise IntegrityError(f"{path} is not a list of scenes: {error!r}") from error


def read_truth(folder: Path, row: SceneRow) -> SceneTruth:
    """Return the truth of one row of a collection."""
    return _read_truth(folder / row.truth)


def read_depth(path: Path) -> tuple[FloatMap, Pinhole | None]:
    """Return the exact depth in a scene's file, float32 [H, W], and its camera if it has one.

    Raises:
        ConfigError: no file of a scene.
    """
    stored = read_npz(path, ("depth", "camera"))
    try:
        return np.asarray(stored["depth"], dtype=np.float32), _camera(stored)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds no depth of a rendered scene: {error!r}") from error


def _camera(stored: Mapping[str, npt.NDArray[Any]]) -> Pinhole | None:
    return Pinhole(*stored["camera"].tolist()) if "camera" in stored else None


def _read_truth(path: Path) -> SceneTruth:
    stored = read_npz(path, ("depth", "normals", "mask", "light", "camera"))
    try:
        return SceneTruth(
            depth_hw=stored["depth"],
            normal_hw3=stored["normals"].astype(np.float32),
            mask_hw=stored["mask"],
            light_3=stored["light"],
            camera=_camera(stored),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} holds no truth of a rendered scene: {error!r}") from error


def truth_beside(image: Path) -> SceneTruth | None:
    """Return the truth of an image by where it lies; None if that is in no collection of scenes."""
    folder = image.parent.parent.parent
    truth = folder / "truth" / image.parent.name / f"{image.stem}.npz"
    if image.parent.parent.name != "images" or not truth.is_file():
        return None
    return _read_truth(truth)


def _write_scene(folder: Path, scene: Scene) -> SceneRow:
    image, truth = (
        f"{kind}/{scene.family}/{scene.id}.{suffix}"
        for kind, suffix in (("images", "png"), ("truth", "npz"))
    )
    Image.fromarray(scene.rgb_hw3).save(folder / image)
    arrays: dict[str, Any] = {
        "depth": scene.depth_hw,
        "normals": scene.normal_hw3.astype(np.float16),
        "mask": scene.mask_hw,
        "light": np.asarray(scene.light_direction, dtype=np.float32),
    }
    if scene.camera is not None:
        arrays["camera"] = np.asarray(astuple(scene.camera))
    np.savez_compressed(folder / truth, **arrays)
    focal_px = None if scene.camera is None else scene.camera.focal_x_px
    return SceneRow(
        scene.id, image, scene.caption, scene.family, scene.seed, scene.split, scene.kind, truth,
        focal_px,
    )  # fmt: skip


def _write_list(path: Path, rows: Sequence[SceneRow]) -> None:
    """Write all or nothing: a list that is there is whole."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(SceneRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    partial.replace(path)


def _row(record: dict[str, str]) -> SceneRow:
    return SceneRow(
        id=record["id"],
        uri=record["uri"],
        caption=record["caption"],
        family=record["family"],
        seed=int(record["seed"]),
        split=Split(record["split"]),
        kind=SceneKind(record["kind"]),
        truth=record["truth"],
        focal_px=float(record["focal_px"]) if record.get("focal_px") else None,
    )
