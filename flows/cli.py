"""The command line: one function a command of `redepth`, in the order of `redepth --help`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth import __version__
from redepth.confidence import Cue
from redepth.config import Cost, Recipe, load_recipe, shipped_recipes
from redepth.costing import CostEstimate, estimate_cost
from redepth.errors import ConfigError, RedepthError, StorageUnreachable
from redepth.evaluation.alignments import Alignment
from redepth.exports.request import MILLIMETRES, ExportFormat, ExportRequest
from redepth.judging.formats import TableFormat
from redepth.scenes.scene import Split
from redepth.types import Outcome

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130
DEFAULT_RECIPE = "redepth-anything-fast"
LAB_RECIPE = "mini"
MAX_TROUBLES = 20

app = typer.Typer(
    name="redepth",
    help="Refined depth labels for large collections of photographs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

train_app = typer.Typer(help="Train the small models that come with redepth.", no_args_is_help=True)
app.add_typer(train_app, name="train")


class Retry(StrEnum):
    """Outcomes that can be tried again."""

    FAILED = "failed"
    REJECTED = "rejected"
    FELL_BACK = "fell_back"


Photos = Annotated[
    str,
    typer.Argument(
        metavar="PHOTOS",
        help="A folder, a glob in quotes, an s3:// prefix, one image, or a list (.txt, .csv, "
        ".jsonl, .parquet with a column 'uri', optionally 'caption' and 'id').",
    ),
]
Out = Annotated[
    str, typer.Option("--out", "-o", help="Where labels go: a folder or any fsspec URL.")
]
RecipeName = Annotated[
    str,
    typer.Option(
        "--recipe",
        "-r",
        help="A shipped recipe (redepth recipes) or a YAML file. The default needs a GPU and "
        "weights from the hub; mini needs neither.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be given again."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Look at the first N photographs only.")]
RetryOption = Annotated[
    list[Retry] | None,
    typer.Option(
        "--retry",
        metavar="OUTCOME",
        help="Try images again that failed, were rejected, or fell_back; may be given again.",
    ),
]
LabelsUrl = Annotated[str, typer.Argument(metavar="LABELS", help="An output of redepth label.")]

TruthPath = Annotated[
    Path,
    typer.Option(
        "--truth",
        metavar="DIR",
        help="A folder in the layout, or a .csv with columns 'uri' and 'truth'.",
    ),
]
LayoutName = Annotated[
    str,
    typer.Option(
        "--layout",
        "-l",
        help="kitti, kitti-eigen-crop, nyu, tum, scannet, eth3d, diode, sintel, middlebury, ibims "
        "or scenes.",
    ),
]
AlignOption = Annotated[
    Alignment, typer.Option("--align", help="How labels are brought to the truth.")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Leave out images without a truth; else they are refused.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        terminal.out.print(f"redepth {__version__}")
        raise typer.Exit


@app.callback()
def redepth(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Refined depth labels for large collections of photographs."""


@app.command(
    epilog="[bold]Examples[/]\n\n"
    "redepth label holiday/ --out labels/ --recipe mini\n\n"
    "redepth label s3://photos/2026/ --out s3://labels/2026 --actors 8\n\n"
    "redepth label list.csv --out labels/ --set labels.refiner.num_members=5\n\n"
    "redepth label holiday/ --out labels/ --recipe mini --retry failed"
)
def label(
    photos: Photos,
    out: Out,
    recipe: RecipeName = DEFAULT_RECIPE,
    settings: Overrides = None,
    actors: Annotated[
        int | None, typer.Option("--actors", min=1, help="Ray actors; default: as many as fit.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running Ray cluster, e.g. ray://head:10001; default: a private one.",
        ),
    ] = None,
    limit: Limit = None,
    retry: RetryOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and stop; spends nothing.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if an image was rejected or failed.")
    ] = False,
) -> None:
    """Label a collection. Run it again to resume: only what is left is done."""
    overrides = [
        *(settings or ()),
        *([] if actors is None else [f"run.actors.num_actors={actors}"]),
    ]
    if dry_run:
        plan(photos, out, recipe, settings, limit, retry)
        return
    try:
        outcomes = _label(photos, out, recipe, tuple(overrides), ray, limit, _outcomes(retry))
    except KeyboardInterrupt:
        terminal.print_error("stopped. What is committed stays; the same command resumes")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if strict and (outcomes[Outcome.REJECTED] or outcomes[Outcome.FAILED]):
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="[bold]Example[/]\n\nredepth plan s3://photos/2026/ --out s3://labels/2026")
def plan(
    photos: Photos,
    out: Out,
    recipe: RecipeName = DEFAULT_RECIPE,
    settings: Overrides = None,
    limit: Limit = None,
    retry: RetryOption = None,
) -> None:
    """Show what label would do and what it would cost. Writes and spends nothing."""
    from redepth.images.collection import list_images
    from redepth.store.dataset import check_recipe
    from redepth.store.planning import plan_labels

    chosen = load_recipe(recipe, settings or ())
    check_recipe(out, chosen)
    images = list_images(photos, limit)
    found = plan_labels(images, out, chosen, frozenset(_outcomes(retry)), write=False)
    if not found.num_pending:
        terminal.print_nothing_to_do(out, found)
        return
    terminal.print_plan(photos, out, chosen, found, _estimate(out, chosen, found.num_pending))


@app.command(epilog="[bold]Example[/]\n\nredepth status labels/")
def status(labels: LabelsUrl) -> None:
    """Say how many images are done, fell back, were rejected, failed, and are left."""
    from redepth.store.reader import open_labels, summarise

    summary = summarise(labels)
    terminal.print_status(labels, summary, open_labels(labels).troubles(MAX_TROUBLES))


@app.command(epilog="[bold]Example[/]\n\nredepth show labels/ astronaut --png astronaut.png")
def show(
    labels: LabelsUrl,
    image_id: Annotated[
        str, typer.Argument(metavar="IMAGE_ID", help="An id, the start of one, or a file name.")
    ],
    png: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("label.png"),
) -> None:
    """Draw one label: photograph, coarse, refined, confidence."""
    from redepth.config import Decoding
    from redepth.report.gallery import fetch_picture
    from redepth.report.pictures import draw_label
    from redepth.store.reader import open_labels

    opened = open_labels(labels)
    found = opened[opened.find(image_id)]
    row = found.row
    if not row.outcome.has_label:
        raise ConfigError(f"{row.id} has no label to draw: {row.outcome.words}, {row.reason}")
    decoding = Decoding.model_validate(opened.dataset.recipe["decoding"])
    png.write_bytes(draw_label(fetch_picture(found, decoding)))
    terminal.print_row(row, png)


@app.command(
    epilog="[bold]Examples[/]\n\nredepth report labels/\n\n"
    "redepth report s3://labels/2026 --out 2026.html --set run.cost.price_per_actor_hour=2.5"
)
def report(
    labels: LabelsUrl,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the page goes.")] = Path(
        "report.html"
    ),
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help="Whose prices; default: the one of the labels."),
    ] = None,
    settings: Overrides = None,
) -> None:
    """Write a page of the labels: figures, gallery, provenance. One file, opened by any browser."""
    from datetime import UTC, datetime

    from redepth.report.page import render_page
    from redepth.report.page_data import read_page
    from redepth.store.dataset import read_dataset

    cost = _cost_settings(read_dataset(labels).recipe_name, recipe, tuple(settings or ()))
    page = read_page(labels, cost, datetime.now(UTC))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render_page(page), encoding="utf-8")
    terminal.print_report(out, page.num_images, len(page.gallery.cards))


@app.command(
    epilog="[bold]Example[/]\n\n"
    "redepth scenes --count 64 --family coins --family dunes --size 128 --out scenes/\n\n"
    "redepth label scenes/list.csv --out labels/ --recipe mini"
)
def scenes(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder for the collection.")],
    family: Annotated[
        list[str] | None,
        typer.Option("--family", help="May be given again; default: every family."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Scenes of each family.")] = 16,
    size: Annotated[int, typer.Option("--size", min=16, help="Pixels a side.")] = 128,
    split: Annotated[Split, typer.Option(help="Splits share no scene.")] = Split.HELD_OUT,
    seed: Annotated[int, typer.Option(min=0, help="The first scene's; then counted up.")] = 0,
) -> None:
    """Render scenes with exact depth, normals and captions: a collection whose truth is known."""
    from flows.render_scenes import render_collection
    from redepth.scenes.families import FAMILIES

    render_collection(out, tuple(dict.fromkeys(family or FAMILIES)), count, size, split, seed)


@app.command(
    epilog="[bold]Examples[/]\n\nredepth lab --quick\n\n"
    "redepth lab --group canonical --count 100 --set labels.refiner.token_learning_rate=0.003"
)
def lab(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder.")] = Path("lab"),
    group: Annotated[
        list[str] | None,
        typer.Option(help="canonical, reliefs, in-distribution or objects; default: all."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Held-out scenes of each group; default: 100.")
    ] = None,
    recipe: RecipeName = LAB_RECIPE,
    settings: Overrides = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few scenes and steps: does it run; proves nothing.")
    ] = False,
) -> None:
    """Measure on scenes with exact depth whether refining helps, beside its controls."""
    from dataclasses import replace

    from flows.run_lab import FULL_RUN, QUICK_RUN, run_lab

    options = QUICK_RUN if quick else FULL_RUN
    options = options if count is None else replace(options, count=count)
    run_lab(out, group or (), options, recipe, settings or ())


@train_app.command(
    name="mini",
    epilog="[bold]Example[/]\n\nredepth train mini --out models/mini\n\n"
    "redepth train mini --out models/mini --resume",
)
def train_mini(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder for the weights.")],
    steps_scale: Annotated[
        float, typer.Option(min=0.0, help="Times the steps; below 1, of the scenes as well.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and all draws.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoints in --out.")
    ] = False,
) -> None:
    """Train the small models that come with redepth, on rendered scenes. Minutes on a CPU."""
    quieten_prefect()
    from flows.train_mini import LOSSES_NAME
    from flows.train_mini import train_mini as train

    start_prefect_server()
    for model in train(str(out), steps_scale, seed, resume):
        terminal.out.print(f"{model.name} in {model.folder}", markup=False)
    terminal.out.print(f"how it went: {out / LOSSES_NAME}", markup=False)


@app.command(
    epilog="[bold]Examples[/]\n\nredepth export labels/ --format png16 --out depth/\n\n"
    "redepth export labels/ --format webdataset --out shards/ --with-images "
    "--where \"mean_confidence > 0.8 and outcome = 'refined'\""
)
def export(
    labels: LabelsUrl,
    format: Annotated[ExportFormat, typer.Option("--format", "-f", help="None has 8 bits.")],
    out: Annotated[str, typer.Option("--out", "-o", help="A folder or any fsspec URL.")],
    quantity: Annotated[
        str, typer.Option(help="Of coarse, refined, spread, confidence; with commas.")
    ] = "refined,confidence",
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="A condition on the catalogue's columns.")
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="The photographs too, at the label's size.")
    ] = False,
    metric_scale: Annotated[
        float, typer.Option(help="png16, metric maps: codes a metre; 256 is KITTI's.")
    ] = MILLIMETRES,
) -> None:
    """Write labels in another format. Run it again to go on: what is there is left alone."""
    from redepth.store.conditions import check_condition
    from redepth.store.dataset import read_dataset

    quantities = tuple(name.strip() for name in quantity.split(","))
    ExportRequest(format, quantities, where, with_images, metric_scale)
    read_dataset(labels)
    if where is not None:
        check_condition(where)
    quieten_prefect()
    from flows.export_labels import export_labels

    start_prefect_server()
    num_images, num_lost = export_labels(
        labels, out, format, quantities, where, with_images, metric_scale
    )
    terminal.print_export(out, num_images, num_lost)


@app.command(
    epilog="[bold]Examples[/]\n\n"
    "redepth evaluate labels/ --truth scenes/ --layout scenes\n\n"
    "redepth evaluate labels/ --truth kitti/val --layout kitti --partial --out evaluation/\n\n"
    "redepth evaluate labels/ --truth nyu/test --layout nyu --align ransac --format latex"
)
def evaluate(
    labels: LabelsUrl,
    truth: TruthPath,
    layout: LayoutName,
    align: AlignOption = Alignment.REDEPTH,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for tables in every format, and pictures."),
    ] = None,
    form: Annotated[
        TableFormat, typer.Option("--format", "-f", help="Of the table that is printed.")
    ] = TableFormat.MARKDOWN,
    partial: Partial = False,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="A condition on the catalogue's columns.")
    ] = None,
) -> None:
    """Measure labels against the truth: coarse and refined side by side, and the confidence."""
    from redepth.judging.judgement import TruthSelection

    # A look takes no engine: what is wrong with the arguments is said before one is started.
    TruthSelection(labels, truth, layout, partial, where).open()
    quieten_prefect()
    from flows.evaluate_labels import evaluate_labels

    start_prefect_server()
    report = evaluate_labels(labels, truth, layout, align, out, form, partial, where)
    terminal.out.print(report.table, markup=False)
    for path in report.files:
        terminal.err.print(f"written: {path}", markup=False)


@app.command(
    epilog="[bold]Examples[/]\n\n"
    "redepth calibrate labels/ --truth scenes/ --layout scenes --out mapping.json\n\n"
    "redepth calibrate labels/ --truth scenes/ --layout scenes --out mapping.json "
    "--within 1.05 --cue spread --cue slope"
)
def calibrate(
    labels: LabelsUrl,
    truth: TruthPath,
    layout: LayoutName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The mapping, JSON.")],
    within: Annotated[
        float, typer.Option(min=1.001, help="A pixel is right within this factor of the truth.")
    ] = 1.25,
    cue: Annotated[
        list[Cue] | None,
        typer.Option(
            "--cue", help="What the mapping looks at; may be given again. Default: spread."
        ),
    ] = None,
    align: AlignOption = Alignment.REDEPTH,
    partial: Partial = False,
) -> None:
    """Fit what a spread means: the probability that a pixel is near the truth."""
    from flows.calibrate_labels import calibrate_labels

    calibrate_labels(labels, truth, layout, out, within, cue or (Cue.SPREAD,), align, partial)


@app.command(
    epilog="[bold]Examples[/]\n\nredepth compare labels-a/ labels-b/ --html comparison.html\n\n"
    "redepth compare labels-a/ labels-b/ --truth scenes/ --layout scenes --out comparison/"
)
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="An output of redepth label.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one, of the same images.")],
    truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="As for redepth evaluate.")
    ] = None,
    layout: LayoutName = "scenes",
    align: AlignOption = Alignment.REDEPTH,
    partial: Partial = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for the tables.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A page of both, side by side.")
    ] = None,
) -> None:
    """Compare two sets of labels of one collection, image by image."""
    from flows.compare_labels import compare_label_sets, write_page

    found = compare_label_sets(first, second, truth, layout, align, partial, out)
    if html is not None:
        write_page(found, first, second, html)


@app.command()
def recipes() -> None:
    """List the recipes that come with redepth."""
    terminal.print_recipes(shipped_recipes(), DEFAULT_RECIPE)


def main() -> None:
    """Run the command line; what is known to go wrong becomes a message and an exit code."""
    try:
        app()
    except (ConfigError, StorageUnreachable) as error:
        terminal.print_error(str(error))
        sys.exit(EXIT_CONFIG)
    except RedepthError as error:
        terminal.print_error(str(error))
        sys.exit(EXIT_FAILED)


def _label(
    photos: str,
    out: str,
    recipe: str,
    overrides: tuple[str, ...],
    ray: str | None,
    limit: int | None,
    retry: tuple[Outcome, ...],
) -> dict[Outcome, int]:
    """Look first, since a look takes no engine: with nothing to do, none is started.

    Returns:
        The listed images by outcome.
    """
    from redepth.images.collection import canonical_uri, list_images
    from redepth.store.dataset import check_recipe, read_dataset
    from redepth.store.planning import plan_labels

    chosen = load_recipe(recipe, overrides)
    out = canonical_uri(out)
    check_recipe(out, chosen)
    found = plan_labels(list_images(photos, limit), out, chosen, frozenset(retry), write=False)
    if not found.num_pending:
        terminal.print_nothing_to_do(out, found)
        return found.outcomes
    terminal.print_head(photos, out, chosen, found)
    quieten_prefect()
    from flows.label_images import label_images

    start_prefect_server()
    report = label_images(photos, out, recipe, overrides, ray, limit, retry)
    models = read_dataset(out).models
    terminal.print_summary(out, report.outcomes, models, report.contact_sheet, report.page)
    settled = {o: 0 if o in retry else number for o, number in found.outcomes.items()}
    return {outcome: settled[outcome] + report.new.get(outcome, 0) for outcome in Outcome}


def _outcomes(retry: list[Retry] | None) -> tuple[Outcome, ...]:
    return tuple(Outcome(chosen.value) for chosen in retry or ())


def _cost_settings(recorded: str, recipe: str | None, overrides: tuple[str, ...]) -> Cost:
    """Take the prices of the recipe that is named, else of the shipped one the labels are of."""
    if recipe is None and not overrides and recorded not in shipped_recipes():
        return Cost.model_validate({})
    return load_recipe(recipe or recorded, overrides).run.cost


def _estimate(out: str, recipe: Recipe, num_images: int) -> CostEstimate | None:
    """Reckon with the seconds of the labels that exist here, else with the recipe's."""
    from redepth.store.catalogue import mean_seconds

    seconds, number = mean_seconds(out)
    return estimate_cost(num_images, recipe.run.cost, seconds, number)
