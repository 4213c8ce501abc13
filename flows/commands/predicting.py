"""Refine a few photographs at once: predict."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import DEFAULT_RECIPE, Overrides, RecipeName
from flows.progress_bar import progress_bar
from redepth.errors import ConfigError, ImageRejected, RefinementFailed
from redepth.redaction import shown

EXIT_FAILED = 1

PANEL = "Label"
FORMATS = "colour-png,png16"

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth predict photo.jpg --recipe mini\n\n"
    "redepth predict a.jpg b.png --out maps/ --formats colour-png,npy",
)
def predict(
    photos: Annotated[
        list[str], typer.Argument(metavar="PHOTO...", help="Photographs: paths or URLs.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where maps go: a folder.")] = Path(),
    recipe: RecipeName = DEFAULT_RECIPE,
    settings: Overrides = None,
    formats: Annotated[
        str,
        typer.Option(
            help="What to write, by commas: colour-png (a picture at the photograph's size), png16 "
            "(16 bits, with a scale beside it), npy, exr; of metric recipes also ply (points) and "
            "glb (a surface)."
        ),
    ] = FORMATS,
    focal: Annotated[
        float | None, typer.Option(help="Focal length in px of the upright photographs.")
    ] = None,
    fov: Annotated[
        float | None, typer.Option(help="Or the horizontal field of view in degrees.")
    ] = None,
) -> None:
    """Refine a few photographs and write their maps: no engine, no output to resume.

    For more than a handful take label, which resumes, and keeps what it did in one place.
    """
    for photo in photos:
        _require_file(photo)
    # The models' libraries take seconds to import: what is wrong is said before.
    from redepth.predict import Refiner, file_name, require_formats

    names = Counter(file_name(photo) for photo in photos)
    twice = [name for name, number in names.items() if number > 1]
    if twice:
        raise ConfigError(
            f"several photographs are named {twice[0]!r}, and so would be their maps: give them to "
            "one command each, with another --out"
        )
    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    require_formats(wanted)
    refiner = Refiner(recipe, settings or ())
    num_failed = 0
    with progress_bar("refining", len(photos)) as advance:
        for photo in photos:
            try:
                refined = refiner(photo, focal_px=focal, fov_deg=fov)
                terminal.print_refined(refined.row, refined.save(out, wanted))
            except (ConfigError, ImageRejected, RefinementFailed) as error:
                terminal.print_error(str(error))
                num_failed += 1
            advance()
    if num_failed:
        raise typer.Exit(EXIT_FAILED)


def _require_file(photo: str) -> None:
    """Refuse what is no file here; a URL is tried when its turn comes."""
    if "://" in photo:
        return
    path = Path(photo)
    if path.is_dir():
        words = shlex.join(["redepth", "label", photo, "--out", "labels/"])
        raise ConfigError(f"{shown(photo)} is a folder; to label all that is in it: {words}")
    if not path.exists():
        raise ConfigError(f"{shown(photo)}: no such file")
