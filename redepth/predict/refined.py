"""What refining one photograph gave: its maps, to compute with, to look at, and to keep."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports import colour_png, exporters
from redepth.exports.glb import glb_of
from redepth.exports.part import MapFacts, MapFormat
from redepth.exports.ply import cloud_ply
from redepth.geometry.meshes import Mesh
from redepth.geometry.points import PointCloud
from redepth.quantities import REFINED, Quantity
from redepth.report.clouds import shape_of
from redepth.report.pictures import LABEL_PHOTOGRAPH_PX, LabelPicture, draw_label
from redepth.types import ByteImage, DepthKind, FloatMap, LabelArrays, LabelRow

COLOURS = colour_png.FORMAT.name
DEFAULT_FORMATS = (COLOURS, next(iter(exporters.own)))  # 16-bit PNG


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """The maps of one photograph, all at the size that the models saw.

    Attributes:
        row: what the catalogue of an output would say of it (docs/catalogue.md).
        maps: of every quantity, by name.
        photograph_hw3: uint8 [h, w, 3], upright, at its own size.
    """

    row: LabelRow
    maps: LabelArrays
    photograph_hw3: ByteImage

    @property
    def kind(self) -> DepthKind:
        """What the numbers of coarse and refined mean."""
        assert self.row.kind is not None, "a label has a kind"
        return self.row.kind

    @property
    def coarse(self) -> FloatMap:
        """float32 [H, W], before refinement."""
        return self.maps["coarse"]

    @property
    def refined(self) -> FloatMap:
        """float32 [H, W]; of a metric kind NaN where nothing is within reach."""
        return self.maps["refined"]

    @property
    def spread(self) -> FloatMap:
        """[H, W], standard deviation over the members; NaN without an ensemble."""
        return self.maps["spread"]

    @property
    def confidence(self) -> FloatMap:
        """[H, W] in [0, 1]; NaN without an ensemble."""
        return self.maps["confidence"]

    def colours(self, quantity: str = REFINED.name) -> Image.Image:
        """Return a map in colours, at the photograph's size."""
        height_px, width_px = self.photograph_hw3.shape[:2]
        values = self.maps[quantity]
        return colour_png.picture_of(self._quantity(quantity), values, (width_px, height_px))

    def plot(self) -> Image.Image:
        """Return photograph, coarse, refined and confidence side by side."""
        return Image.open(io.BytesIO(draw_label(self.picture())))

    def points(self, focal_px: float | None = None, far_ratio: float | None = None) -> PointCloud:
        """Return the refined map as coloured points, in metres if the map is.

        Args:
            focal_px: in pixels of the upright photograph; None takes what EXIF or the model says.
            far_ratio: of a map without a unit, to look at it: its nearest point is put at 1, its
                farthest here.

        Raises:
            ConfigError: the map is not in metres and no `far_ratio` is given, or nobody says the
                focal length.
        """
        return shape_of(self.picture(), REFINED.name, focal_px, far_ratio).cloud()

    def mesh(self, focal_px: float | None = None, far_ratio: float | None = None) -> Mesh:
        """Return the refined map as a coloured surface with holes at depth edges; see `points`."""
        return shape_of(self.picture(), REFINED.name, focal_px, far_ratio).mesh()

    def save(
        self, folder: str | Path, formats: Sequence[str] = DEFAULT_FORMATS
    ) -> tuple[Path, ...]:
        """Write the refined map into a folder; return the paths, the map's own last.

        Args:
            formats: "colour-png" (a picture at the photograph's size), those of `redepth export`
                that write a file a map, and "ply" (points) and "glb" (a surface), of metric maps
                alone.

        Raises:
            ConfigError: no such format, one that takes a package which is not installed, points
                of what is not in metres, or a folder that cannot be written to.
        """
        stem = Path(folder) / f"{self.row.id}-{REFINED.name}"
        files = {path: content for name in formats for path, content in self._files(stem, name)}
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                path.write_bytes(content)
        except OSError as error:
            raise ConfigError(
                f"maps cannot be written into {folder}: {error.strerror or error}; name a folder "
                "that can be written to"
            ) from error
        return tuple(files)

    def _files(self, stem: Path, name: str) -> list[tuple[Path, bytes]]:
        if name == COLOURS:
            return [(stem.with_name(f"{stem.name}-colours.png"), _png(self.colours()))]
        if name in SHAPES:
            return [(stem.with_name(f"{stem.name}.{name}"), SHAPES[name](self))]
        format_ = _map_format(name)
        facts = MapFacts(self.row.id, REFINED, self.kind, format_.describe(REFINED))
        encoded = format_.encode(self.refined, facts, format_.settings())
        return [
            (stem.with_name(f"{stem.name}.{suffix}"), encoded.files[suffix])
            for suffix in format_.suffixes
        ]

    def _quantity(self, name: str) -> Quantity:
        return next(one for one in self.maps.quantities if one.name == name)

    def picture(self) -> LabelPicture:
        """Return what the reports draw of it, the photograph no larger than is drawn."""
        seen = Image.fromarray(self.photograph_hw3)
        seen.thumbnail((LABEL_PHOTOGRAPH_PX, LABEL_PHOTOGRAPH_PX))
        return LabelPicture(self.row, np.asarray(seen), self.coarse, self.refined, self.confidence)

    def _repr_html_(self) -> str:
        """Show photograph, maps and outcome in a notebook."""
        encoded = base64.b64encode(draw_label(self.picture())).decode()
        return f'<img alt="{self.row.outcome}" src="data:image/png;base64,{encoded}">'

    def __repr__(self) -> str:
        height_px, width_px = self.refined.shape
        size = f"{width_px} x {height_px} px"
        return f"Refined({self.row.id!r}, {self.row.outcome}, {self.kind}, {size})"


# Of metric maps, beside the export formats.
SHAPES: Mapping[str, Callable[[Refined], bytes]] = {
    "ply": lambda refined: cloud_ply(refined.points()),
    "glb": lambda refined: glb_of(refined.mesh()),
}


def require_formats(formats: Sequence[str]) -> None:
    """Refuse formats that `Refined.save` does not know, or cannot write here.

    Raises:
        ConfigError: names it, and those that there are.
    """
    for name in formats:
        if name != COLOURS and name not in SHAPES:
            _map_format(name)


def _map_format(name: str) -> MapFormat:
    try:
        found = exporters[name]
    except ValueError as error:
        raise ConfigError(f"{error}; also {', '.join(SHAPES)}") from error
    if not isinstance(found, MapFormat):
        raise ConfigError(f"the format {name} takes many labels: label into an output, then export")
    found.check()
    return found


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()
