"""Learn from an expensive refiner: distill."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import DEFAULT_RECIPE, Overrides, Photos, checked_url
from flows.commands.labelling import EXIT_INTERRUPTED, PANEL
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.training import CONFIGS
from redepth.training.distilled import METHOD
from redepth.training.distilled.settings import DistilledTraining

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\n"
    "redepth distill photos/ --out student/ --teacher redepth-anything --share 2%\n\n"
    "redepth distill scenes/ --out student/ --teacher mini --count 200 --config distilled-mini\n\n"
    "redepth distill photos/ --out student/ --add nightly/labels",
)
def distill(
    photos: Photos,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", callback=checked_url, help="The student's folder, or any fsspec URL."
        ),
    ],
    teacher: Annotated[
        str, typer.Option("--teacher", "-t", help="The recipe to learn from.")
    ] = DEFAULT_RECIPE,
    settings: Overrides = None,
    share: Annotated[
        str, typer.Option(metavar="N%", help="Share of the collection that the teacher labels.")
    ] = "2%",
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Number of images that the teacher labels, instead of a share."),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            "--config", "-c", help="The student's training config; see redepth train distilled."
        ),
    ] = METHOD.default_config,
    train_settings: Annotated[
        list[str] | None,
        typer.Option("--train-set", metavar="KEY=VALUE", help="Change a setting of the training."),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="LABELS", help="Learn from these labels of the teacher too."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="A local folder for the training, if --out is a URL."),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A running Ray cluster.")
    ] = None,
) -> None:
    """Label a few images with an expensive recipe, and train a student that labels the rest.

    Run it again to resume; with more labels (--add, a larger --count) the student keeps learning.
    """
    from redepth.images.collection import canonical_uri

    for labels in add or ():
        checked_url(labels)
    recipe = load_recipe(teacher, settings or ())
    place = canonical_uri(out)
    training = CONFIGS.load(DistilledTraining, config, train_settings or ())
    part, folder = _share(share), _work_folder(place, work)
    quieten_prefect()
    from flows.distill import Choice
    from flows.distill import distill as distill_flow

    start_prefect_server()
    try:
        found = distill_flow(
            canonical_uri(photos),
            place,
            str(folder),
            recipe,
            training,
            Choice(count=count, share=part),
            tuple(canonical_uri(labels) for labels in add or ()),
            ray,
        )
    except KeyboardInterrupt:
        terminal.print_error("stopped. What is done stays; the same command resumes")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    terminal.print_distilled(found)


def _share(text: str) -> float:
    """Return a share in (0, 1] of "2%" or "0.02"."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100.0 if text.strip().endswith("%") else 1.0)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"--share takes a share of the collection such as 2%, got {text!r}")
    return share


def _work_folder(out: str, work: Path | None) -> Path:
    """Return where the training happens: a local folder.

    Raises:
        ConfigError: the output is none, and no other is given.
    """
    from redepth.images.uris import is_local

    if work is not None:
        return work.expanduser().resolve()
    if not is_local(out):
        raise ConfigError(
            f"--out is {out}, and the student is trained in a local folder: name one with --work, "
            "the same one when you resume"
        )
    return Path(out.removeprefix("file://")) / "training"
