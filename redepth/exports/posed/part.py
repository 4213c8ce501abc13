"""A format of a posed scene: files beside each picture of a reconstruction, and some of them all.

Names are those that the trainers ask for: `{name}` is the picture's name in the reconstruction,
`{stem}` the same without its suffix. Beside them lie

    alignment/{name}.json   how the label was aligned to the points of its picture, or why not
    alignment.csv           the same of all pictures, a line each
    confidence/{stem}.png   16 bits, 65535 is 1, 0 is none; where the confidence is exported
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports.items import Item
from redepth.exports.part import (
    ExportFacts,
    ExportFormat,
    ExportSettings,
    Finished,
    OnImage,
    Place,
)
from redepth.exports.posed.matching import match
from redepth.exports.posed.scene import Scene, View, depth_quantity, open_scene, view_of
from redepth.exports.posed.settings import PosedSettings
from redepth.images.uris import is_local
from redepth.printable import one_line
from redepth.quantities import CONFIDENCE, AnyMap, Quantity
from redepth.reconstruction.cameras import CameraModel
from redepth.reconstruction.model import PosedImage
from redepth.redaction import shown
from redepth.store.objects import Objects
from redepth.types import FloatMap

ALIGNMENTS = "alignment"
TABLE = "alignment.csv"
WEIGHTS = "confidence"
_MOST_NAMED = 1000  # in export.json; a person is told of fewer
_TOLD = 3
_RECORD_BYTES = 1 << 16


_WEIGHT = {
    "type": "uint16",
    "value": "code / 65535",
    "scale": 65535,
    "invalid": "0, as a confidence of 0",
    "precision": "1 / 131070",
}
IN_SCENE = {"unit": "that of the reconstruction", "offset": 0.0}


def describing(depth: Mapping[str, Any]) -> Callable[[Quantity], dict[str, Any]]:
    """Return what says of a format's depth what it is, and of its weights what all formats say."""

    def describe(quantity: Quantity) -> dict[str, Any]:
        return dict({**IN_SCENE, **depth} if quantity.is_depth else _WEIGHT)

    return describe


def always(export: ExportFacts) -> bool:
    """Say that a file is written of every label."""
    return True


@dataclass(frozen=True, slots=True)
class ViewFile:
    """A file that is written of each label.

    Attributes:
        path: below the export's root, of `{name}` and `{stem}`; its first part is the format's own.
        encode: makes its content, and counts pixels with a depth that it cannot say.
        wanted: whether an export has it at all.
    """

    path: str
    encode: Callable[[View, ExportFacts], tuple[bytes, int]]
    wanted: Callable[[ExportFacts], bool] = always


@dataclass(frozen=True, slots=True)
class AlignedView:
    """What is known of a written label when the files of all of them are made.

    Attributes:
        size_hw: of its maps.
        record: as alignment/{name}.json holds it.
    """

    image: PosedImage
    size_hw: tuple[int, int]
    record: Mapping[str, Any]

    @property
    def is_aligned(self) -> bool:
        return bool(self.record["outcome"] == "aligned")


@dataclass(frozen=True, slots=True)
class Views:
    """What the files of a whole scene are made of.

    Attributes:
        root: where the files of each label are.
        labelled: by name.
        unlabelled: pictures of the reconstruction without a label in this export.
    """

    root: Objects
    scene: Scene
    labelled: Sequence[AlignedView]
    unlabelled: Sequence[PosedImage]
    export: ExportFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedFormat(ExportFormat):
    """A format whose depth is in the unit of a reconstruction.

    Attributes:
        view_files: of each label, what explains before what is explained.
        scene_files: makes the files of the whole, by name.
        scene_names: their names, for the check that none of them is somebody else's.
        cameras: models that its reader takes; others are refused.
        takes_images: whether it has a place for photographs.
        names_photographs: whether it says where photographs lie that are not exported.
    """

    view_files: tuple[ViewFile, ...]
    scene_files: Callable[[Views], Mapping[str, bytes]]
    scene_names: tuple[str, ...] = ()
    cameras: tuple[CameraModel, ...]
    takes_images: bool = False
    names_photographs: bool = False
    settings: type[ExportSettings] = PosedSettings
    holds_numbers: bool = field(default=False, init=False)

    def piece_of(self, name: str, shard: str) -> str:
        """Name an image: each is a piece of its own."""
        return name

    def objects(self, piece: str, export: ExportFacts) -> list[str]:
        """Name the files of a label."""
        return [_path(file, _scene(export).images[piece]) for file in self._files(export)]

    def folders(self, export: ExportFacts) -> Sequence[str]:
        """Name the first folders of all files."""
        return tuple(dict.fromkeys(file.path.partition("/")[0] for file in self._files(export)))

    def open(self, export: ExportFacts) -> Scene:
        """Read the reconstruction, and refuse what the format's reader would."""
        depth_quantity(export.contents.quantities)
        if export.contents.with_images and not self.takes_images:
            raise ConfigError(
                f"{self.name} reads the photographs where the reconstruction has them: leave out "
                "--with-images"
            )
        leaving_out = export.settings.leaving_out
        if leaving_out and leaving_out.min_confidence and not _has_confidence(export):
            raise ConfigError("min_confidence is set, and these labels have no confidence")
        scene = open_scene(export.settings)
        for image in scene.reconstruction.images:
            self._require_camera(image)
        return scene

    def _require_camera(self, image: PosedImage) -> None:
        if image.camera.model not in self.cameras:
            raise ConfigError(
                f"{one_line(image.name, 200)} has a {image.camera.model.name} camera, and "
                f"{self.name} takes {', '.join(one.name for one in self.cameras)}: undistort the "
                "photographs (colmap image_undistorter), label those, and give that model"
            )

    def sources(self, export: ExportFacts) -> Mapping[str, str]:
        """Return the digest of the reconstruction."""
        return {"reconstruction": _scene(export).reconstruction.digest}

    def named(
        self, ids: Sequence[str], uris: Sequence[str], export: ExportFacts
    ) -> Sequence[str | None]:
        """Return the names of the pictures that labels are of."""
        matching = match(dict(zip(ids, uris, strict=True)), list(_scene(export).images))
        names = [matching.names.get(image_id) for image_id in ids]
        if self.names_photographs and not export.contents.with_images:
            _require_files([uri for uri, name in zip(uris, names, strict=True) if name])
        return names

    def require_free(self, root: Objects, export: ExportFacts) -> None:
        """Refuse a place where files of a trainer's, or of COLMAP's own, would be written over."""
        there = [name for name in self.scene_names if root.exists(name)]
        folders = {file.path.partition("{")[0].rstrip("/") for file in self._files(export)}
        there += [folder for folder in sorted(folders) if root.list_all(folder)]
        if there:
            raise ConfigError(
                f"{root.url} has {', '.join(there)} already, and no export of redepth wrote them: "
                "use another --out, or move them away"
            )

    def write(
        self,
        root: Objects,
        shard: str,
        items: Iterable[Item],
        export: ExportFacts,
        on_image: OnImage,
    ) -> int:
        """Align each label and write its files; return the pixels that they cannot say."""
        num_lost = 0
        for item in items:
            view = view_of(item, _scene(export), export.settings)
            for file in self._files(export):
                content, lost = file.encode(view, export)
                root.put(_path(file, view.image), content)
                num_lost += lost
            on_image()
        return num_lost

    def read(self, root: Objects, place: Place, quantity: str) -> AnyMap:
        """Find nothing: the files are a trainer's, in a scene's unit."""
        raise KeyError(quantity)

    def finish(self, root: Objects, names: Sequence[str], export: ExportFacts) -> Finished:
        """Write the files of the whole scene.

        Raises:
            ConfigError: not one label could be aligned.
        """
        scene, written = _scene(export), set(names)
        labelled = _aligned_views(root, [scene.images[name] for name in sorted(written)])
        if not any(view.is_aligned for view in labelled):
            reasons = {str(view.record["reason"]) for view in labelled}
            raise ConfigError(
                f"none of {len(labelled)} labels could be aligned to the points of its picture: "
                f"{'; '.join(sorted(reasons)[:_TOLD])}"
            )
        unlabelled = [image for name, image in scene.images.items() if name not in written]
        views = Views(root, scene, labelled, unlabelled, export)
        for name, content in self.scene_files(views).items():
            root.put(name, content)
        root.put(TABLE, _table(labelled))
        return _finished(labelled, unlabelled)

    def _files(self, export: ExportFacts) -> list[ViewFile]:
        return [file for file in (*_BESIDE, *self.view_files) if file.wanted(export)]


def _require_files(uris: Sequence[str]) -> None:
    """Refuse to point at photographs that are no files of this machine."""
    elsewhere = next((uri for uri in uris if not is_local(uri)), None)
    if elsewhere is not None:
        raise ConfigError(
            f"{shown(elsewhere)} is no file that a trainer could open: add --with-images"
        )


def _scene(export: ExportFacts) -> Scene:
    scene: Scene = export.opened
    return scene


def _path(file: ViewFile, image: PosedImage) -> str:
    return file.path.format(name=image.name, stem=image.stem)


def _has_confidence(export: ExportFacts) -> bool:
    return any(one.name == CONFIDENCE.name for one in export.contents.quantities)


def _with_images(export: ExportFacts) -> bool:
    return export.contents.with_images


def _record(view: View, export: ExportFacts) -> tuple[bytes, int]:
    height_px, width_px = view.depth_hw.shape
    said = {
        "image": view.image.name,
        "id": view.item.row.id,
        "photograph": view.item.row.uri,
        "height_px": height_px,
        "width_px": width_px,
        "kind": str(view.item.row.kind),
        **asdict(view.alignment),
    }
    return (json.dumps(said, indent=2) + "\n").encode(), 0


def _weights(view: View, export: ExportFacts) -> tuple[bytes, int]:
    confidence_hw = view.confidence_hw
    assert confidence_hw is not None, "it is exported"
    codes_hw = np.rint(np.clip(np.nan_to_num(confidence_hw), 0, 1) * 65535).astype(np.uint16)
    return png(codes_hw), 0


def _photograph(view: View, export: ExportFacts) -> tuple[bytes, int]:
    assert view.item.photograph is not None, "it was asked for"
    return view.item.photograph, 0


_BESIDE = (
    ViewFile(f"{ALIGNMENTS}/{{name}}.json", _record),
    ViewFile(f"{WEIGHTS}/{{stem}}.png", _weights, _has_confidence),
    ViewFile("images/{stem}.png", _photograph, _with_images),
)


def png(codes_hw: AnyMap) -> bytes:
    """Return a grey PNG of 8 or 16 bits."""
    file = io.BytesIO()
    Image.fromarray(codes_hw).save(file, format="PNG")
    return file.getvalue()


def zero_where_invalid(depth_hw: FloatMap) -> FloatMap:
    """Put 0 for NaN, which trainers read as "no depth"."""
    return np.nan_to_num(depth_hw, nan=0.0)


def _aligned_views(root: Objects, images: Sequence[PosedImage]) -> list[AlignedView]:
    names = [f"{ALIGNMENTS}/{image.name}.json" for image in images]
    contents = dict(root.read_many(names, _RECORD_BYTES))
    records = [json.loads(contents[name]) for name in names]
    return [
        AlignedView(image, (record["height_px"], record["width_px"]), record)
        for image, record in zip(images, records, strict=True)
    ]


def _table(labelled: Sequence[AlignedView]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(labelled[0].record))
    writer.writeheader()
    writer.writerows(view.record for view in labelled)
    return file.getvalue().encode()


def _finished(labelled: Sequence[AlignedView], unlabelled: Sequence[PosedImage]) -> Finished:
    aligned = [view.record for view in labelled if view.is_aligned]
    reasons = Counter(_kind_of_reason(view) for view in labelled if not view.is_aligned)
    share = float(np.median([record["inlier_share"] for record in aligned]))
    residual = float(np.median([record["residual"] for record in aligned]))
    facts = {
        "aligned": len(aligned),
        "unaligned": dict(reasons),
        "median_inlier_share": share,
        "median_residual": residual,
        "pictures_without_label": [image.name for image in unlabelled[:_MOST_NAMED]],
        "num_pictures_without_label": len(unlabelled),
    }
    remarks = {
        "aligned": f"{len(aligned)} of {len(labelled)}, median inlier share {share:.0%}, "
        f"residual {residual:.1%}: {TABLE}"
    }
    if unlabelled:
        first = one_line(", ".join(image.name for image in unlabelled[:_TOLD]), 200)
        number = len(unlabelled)
        pictures = "picture" if number == 1 else "pictures"
        remarks["no label"] = f"{number} {pictures} of the reconstruction: {first}"
    if reasons:
        remarks["unaligned"] = "; ".join(f"{number}: {why}" for why, number in reasons.items())
    return Finished({"scene": facts}, remarks)


def _kind_of_reason(view: AlignedView) -> str:
    """Return a reason without its numbers, so that like ones are counted together."""
    return re.sub(r"\d+", "N", str(view.record["reason"]))
