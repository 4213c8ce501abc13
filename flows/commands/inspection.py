"""Use labels that are there: show, report, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import AllowPhotographs, ExportOut, LabelsUrl, Overrides, values_of
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import Cost, load_recipe, shipped_recipes
from redepth.errors import ConfigError
from redepth.exports import exporters
from redepth.exports.request import ExportRequest
from redepth.images.camera import (
    LARGEST_FOV_DEG,
    SMALLEST_FOV_DEG,
    focal_of_fov,
    is_plausible,
)
from redepth.quantities import QUANTITIES

PANEL = "Use labels"

app = typer.Typer()


def _settings() -> str:
    """Name what may be chosen of redepth's own export formats."""
    formats: dict[str, list[str]] = {}
    for name, exporter in exporters.own.items():
        for setting in exporter.settings.model_fields:
            formats.setdefault(setting, []).append(name)
    together: dict[str, list[str]] = {}
    for setting, names in formats.items():
        together.setdefault(", ".join(names), []).append(setting)
    return "; ".join(f"{', '.join(settings)} ({names})" for names, settings in together.items())


class CloudQuantity(StrEnum):
    """Maps that a point cloud can be made of."""

    REFINED = "refined"
    COARSE = "coarse"


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth show labels/ astronaut --png astronaut.png\n\n"
    "redepth show labels/ kitchen --points kitchen.ply --view kitchen-cloud.png",
)
def show(
    labels: LabelsUrl,
    image_id: Annotated[
        str, typer.Argument(metavar="IMAGE_ID", help="An id, the start of one, or a file name.")
    ],
    png: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("label.png"),
    points: Annotated[
        Path | None,
        typer.Option(metavar="PLY", help="Metric labels: write a coloured point cloud here."),
    ] = None,
    view: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Metric labels: draw the cloud from three sides."),
    ] = None,
    mesh: Annotated[
        Path | None,
        typer.Option(metavar="GLB", help="Write a coloured surface here, with holes at edges."),
    ] = None,
    quantity: Annotated[
        CloudQuantity, typer.Option(help="The map for --points, --view and --mesh.")
    ] = CloudQuantity.REFINED,
    focal: Annotated[
        float | None,
        typer.Option(help="Focal length in px of the upright photograph; default: the label's."),
    ] = None,
    fov: Annotated[
        float | None, typer.Option(help="Or the horizontal field of view in degrees.")
    ] = None,
    keep_edges: Annotated[
        bool, typer.Option("--keep-edges", help="Keep points that hang between two surfaces.")
    ] = False,
    far_ratio: Annotated[
        float | None,
        typer.Option(
            min=1.01,
            max=1e6,
            help="Labels without a unit, to look at: their nearest point is put at 1, their "
            "farthest here.",
        ),
    ] = None,
    also: Annotated[
        str, typer.Option(metavar="NAMES", help="Further maps to draw, e.g. spread,valid.")
    ] = "",
    allow: AllowPhotographs = None,
) -> None:
    """Draw one label: photograph, coarse, refined, confidence. Metric labels also as points."""
    from redepth.report.gallery import fetch_picture
    from redepth.report.pictures import LABEL_PHOTOGRAPH_PX, draw_label
    from redepth.store.reader import open_labels

    opened = open_labels(labels)
    found = opened[opened.find(image_id)]
    row = found.row
    if not row.outcome.has_label:
        raise ConfigError(f"{row.id} has no label to draw: {row.outcome.words}, {row.reason}")
    names = tuple(name.strip() for name in also.split(",") if name.strip())
    opened.require_quantities(names or ("refined",))
    picture = fetch_picture(found, opened.photographs(allow or ()), LABEL_PHOTOGRAPH_PX, also=names)
    if points is not None or view is not None or mesh is not None:
        from redepth.exports.glb import glb_of
        from redepth.exports.ply import write_ply
        from redepth.report.clouds import draw_cloud, shape_of

        focal_px = _chosen_focal(focal, fov, row.image_width_px or 0)
        shape = shape_of(picture, quantity.value, focal_px, far_ratio)
        cloud = shape.cloud(keep_edges=keep_edges)
        if view is not None:
            view.write_bytes(draw_cloud(cloud, row))
        if points is not None:
            write_ply(points, cloud)
        if mesh is not None:
            mesh.write_bytes(glb_of(shape.mesh(), shape.unit))
        terminal.print_cloud(cloud, points, view, mesh)
    png.write_bytes(draw_label(picture))
    terminal.print_row(row, png, None if picture.unread is None else picture.unread.reason)


def _chosen_focal(focal_px: float | None, fov_deg: float | None, width_px: int) -> float | None:
    """Return the focal length that the options say, in pixels of the upright photograph."""
    if focal_px is not None and fov_deg is not None:
        raise ConfigError("--focal and --fov say the same thing: give one of them")
    if fov_deg is not None:
        if not SMALLEST_FOV_DEG <= fov_deg <= LARGEST_FOV_DEG:
            raise ConfigError(
                f"--fov is {fov_deg:g}, expected {SMALLEST_FOV_DEG:g} to {LARGEST_FOV_DEG:g} "
                "degrees from the left to the right end of the photograph"
            )
        return focal_of_fov(fov_deg, width_px)
    if focal_px is not None and not is_plausible(focal_px, width_px):
        raise ConfigError(
            f"--focal is {focal_px:g}, which no lens has on a photograph {width_px} px wide: it is "
            "to be in pixels, not in millimetres"
        )
    return focal_px


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth report labels/\n\n"
    "redepth report s3://labels/2026 --out 2026.html --set run.cost.price_per_actor_hour=2.5",
)
def report(
    labels: LabelsUrl,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the page goes.")] = Path(
        "report.html"
    ),
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", "-r", help="Use this recipe's prices; default: those of the labels' recipe."
        ),
    ] = None,
    settings: Overrides = None,
    allow: AllowPhotographs = None,
) -> None:
    """Write a page about the labels: figures, gallery, models. One file, for any browser."""
    from datetime import UTC, datetime

    from redepth.report.page import render_page
    from redepth.report.page_data import read_page
    from redepth.store.reader import open_labels

    opened = open_labels(labels)
    cost = _cost_settings(opened.dataset.recipe_name, recipe, tuple(settings or ()))
    photographs = opened.photographs(allow or ())
    page = read_page(labels, cost, datetime.now(UTC), photographs=photographs)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render_page(page), encoding="utf-8")
    terminal.print_report(out, page.num_images, page.gallery)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth export labels/ --format png16 --out depth/\n\n"
    "redepth export labels/ --format webdataset --out shards/ --with-images "
    "--where \"mean_confidence > 0.8 and outcome = 'refined'\"\n\n"
    "redepth export labels/ --format png16 --out kitti/ --set metric_scale=256\n\n"
    "redepth export labels/ --format nerfstudio --colmap scene/sparse/0 --out scene/nerfstudio/",
)
def export(
    labels: LabelsUrl,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help=f"{', '.join(exporters.own)}, or one that an installed package brings.",
        ),
    ],
    out: ExportOut,
    quantity: Annotated[
        str,
        typer.Option(help=f"{', '.join(QUANTITIES)}, or another stored map; separated by commas."),
    ] = "refined,confidence",
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="A condition on the catalogue's columns.")
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Export the photographs too, at the label's size.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=f"A setting of the format, can be repeated: {_settings()}.",
        ),
    ] = None,
    colmap: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A COLMAP model: poses, and sparse points that depth is aligned to; of the "
            "formats that take one (docs/3d.md).",
        ),
    ] = None,
    allow: AllowPhotographs = None,
) -> None:
    """Write labels in another format. Run it again to continue: finished files are kept."""
    from redepth.store.conditions import check_condition
    from redepth.store.reader import open_labels

    quantities = tuple(name.strip() for name in quantity.split(","))
    values = values_of(settings) | ({} if colmap is None else {"colmap": str(colmap)})
    ExportRequest(format, quantities, where, with_images, values).exporter.check()
    open_labels(labels).require_quantities(quantities)
    if where is not None:
        check_condition(where)
    quieten_prefect()
    from flows.export_labels import export_labels

    start_prefect_server()
    exported = export_labels(
        labels, out, format, quantities, where, with_images, values, allow or ()
    )
    terminal.print_export(out, exported)


def _cost_settings(recorded: str, recipe: str | None, overrides: tuple[str, ...]) -> Cost:
    """Take the prices of the recipe that is named, else of the shipped one the labels are of."""
    if recipe is None and not overrides and recorded not in shipped_recipes():
        return Cost.model_validate({})
    return load_recipe(recipe or recorded, overrides).run.cost
