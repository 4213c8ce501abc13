"""Run it every night, and look after it: deploy, serve, doctor."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from flows import terminal
from flows.commands.arguments import DEFAULT_RECIPE, Overrides
from redepth.config import DEPLOY, RECIPES, Deployment, load_deployment, load_recipe

PANEL = "Operate"
EXIT_UNWELL = 2

app = typer.Typer()

RecipeFile = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe, by name or as a YAML file."),
]
PhotosOption = Annotated[
    str | None,
    typer.Option("--photos", help="What to label; default: deploy.photos of the recipe."),
]
OutOption = Annotated[
    str | None,
    typer.Option("--out", "-o", help="Where labels go; default: deploy.out of the recipe."),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the deployment; default: the recipe's.")
]
CronOption = Annotated[
    str | None, typer.Option(help='When, e.g. "0 2 * * *"; without it, only on demand.')
]
EveryOption = Annotated[
    float | None,
    typer.Option(
        "--every", metavar="SECONDS", min=1, help="Run at this interval instead of --cron."
    ),
]
TimezoneOption = Annotated[
    str | None, typer.Option(metavar="IANA", help="Time zone of --cron, e.g. Europe/Berlin.")
]
RayOption = Annotated[
    str | None, typer.Option("--ray", metavar="ADDRESS", help="A running Ray cluster.")
]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", help="A tag to find it by; can be repeated.")
]
RetriesOption = Annotated[
    int | None, typer.Option(min=0, help="How often Prefect tries a failed run again.")
]
DeploymentName = Annotated[str, typer.Argument(metavar="NAME", help="See redepth deploy list.")]


class _RecipeOrCommand(TyperGroup):
    """A group whose first word may be a recipe: `redepth deploy nightly.yaml`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["register", *args]
        return super().parse_args(ctx, args)


deploy = typer.Typer(
    cls=_RecipeOrCommand,
    no_args_is_help=True,
    subcommand_metavar="RECIPE [OPTIONS] | COMMAND [NAME]",
    help="Register a recipe with a Prefect server, to run on a schedule or on demand; `redepth "
    "deploy RECIPE --help` shows the options.",
    epilog="[bold]Examples[/]\n\n"
    'redepth deploy nightly.yaml --pool gpu --cron "0 2 * * *" --timezone Europe/Berlin\n\n'
    "redepth deploy mini --photos s3://b/photos --out s3://b/labels --pool cpu --every 3600\n\n"
    "redepth deploy list",
)
app.add_typer(deploy, name="deploy", rich_help_panel=PANEL)


@deploy.command(hidden=True)
def register(
    recipe: RecipeFile,
    photos: PhotosOption = None,
    out: OutOption = None,
    name: NameOption = None,
    pool: Annotated[
        str | None, typer.Option("--pool", help="Prefect work pool: process, docker, kubernetes.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", help="Container image, for docker and kubernetes pools."),
    ] = None,
    cron: CronOption = None,
    every: EveryOption = None,
    timezone: TimezoneOption = None,
    ray: RayOption = None,
    tag: TagOption = None,
    retries: RetriesOption = None,
    settings: Overrides = None,
) -> None:
    """Register a recipe with a Prefect server. It replaces a deployment of the same name."""
    from flows import deployments

    chosen = load_recipe(recipe, settings or ())
    wanted = _wanted(
        recipe, settings, photos=photos, out=out, pool=pool, image=image, cron=cron, every_s=every,
        timezone=timezone, ray_address=ray, tags=tag, retries=retries,
    )  # fmt: skip
    described = deployments.describe(name or chosen.name, chosen, wanted)
    deployments.register(described, wanted.image)
    terminal.print_deployed(described.name, wanted)


@deploy.command("list")
def list_deployments() -> None:
    """Show every deployment: schedule, pool, last run, next run."""
    from flows import deployments

    terminal.print_deployments(deployments.lines())


@deploy.command()
def pause(name: DeploymentName) -> None:
    """Pause its schedule. A run that is at work continues."""
    from flows import deployments

    deployments.pause(name)
    terminal.out.print(
        f"{name} is paused; redepth deploy resume {name} lets it go on", markup=False
    )


@deploy.command()
def resume(name: DeploymentName) -> None:
    """Resume its schedule."""
    from flows import deployments

    deployments.resume(name)
    terminal.out.print(f"{name} goes on", markup=False)


@deploy.command()
def run(name: DeploymentName) -> None:
    """Run it once, now."""
    from flows import deployments

    terminal.out.print(f"watch it at {deployments.start(name)}", markup=False)


@deploy.command()
def rm(name: DeploymentName) -> None:
    """Remove it and its schedule. Labels stay."""
    from flows import deployments

    deployments.remove(name)
    terminal.out.print(f"{name} is removed; its labels stay where they are", markup=False)


@app.command(
    rich_help_panel=PANEL,
    epilog='[bold]Example[/]\n\nredepth serve nightly.yaml --cron "0 2 * * *"',
)
def serve(
    recipe: RecipeFile,
    photos: PhotosOption = None,
    out: OutOption = None,
    name: NameOption = None,
    cron: CronOption = None,
    every: EveryOption = None,
    timezone: TimezoneOption = None,
    ray: RayOption = None,
    tag: TagOption = None,
    retries: RetriesOption = None,
    settings: Overrides = None,
) -> None:
    """Deploy a recipe and run it here, without pool or worker, until Ctrl-C."""
    from prefect import serve as serve_deployments

    from flows import deployments

    chosen = load_recipe(recipe, settings or ())
    wanted = _wanted(
        recipe, settings, photos=photos, out=out, pool=None, cron=cron, every_s=every,
        timezone=timezone, ray_address=ray, tags=tag, retries=retries,
    )  # fmt: skip
    deployments.require_server()
    os.environ.update(deployments.run_environment(wanted))
    described = deployments.describe(name or chosen.name, chosen, wanted)
    terminal.print_deployed(described.name, wanted)
    with _empty_folder():
        serve_deployments(described, limit=1, print_starting_message=False)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Example[/]\n\nredepth doctor nightly.yaml --pool gpu",
)
def doctor(
    recipe: RecipeFile = DEFAULT_RECIPE,
    photos: PhotosOption = None,
    out: OutOption = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Prefect work pool.")] = None,
    ray: RayOption = None,
    settings: Overrides = None,
) -> None:
    """Check everything that a run needs, and say how to fix what is wrong."""
    from flows.doctor import Subject, Verdict, examine

    wanted = _wanted(recipe, settings, photos=photos, out=out, pool=pool, image=None,
                     ray_address=ray)  # fmt: skip
    subject = Subject(load_recipe(recipe, settings or ()), wanted)
    is_well = True
    for finding in examine(subject):
        terminal.print_finding(finding)
        is_well = is_well and finding.verdict is not Verdict.BAD
    if not is_well:
        raise typer.Exit(EXIT_UNWELL)


@contextmanager
def _empty_folder() -> Iterator[None]:
    """Work in an empty folder: Prefect imports a run's flow with the working directory on the path.

    A `numpy.py` that lies among photographs would be imported in place of numpy.
    """
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="redepth-serve-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _wanted(recipe: str, overrides: list[str] | None, **given: Any) -> Deployment:
    """Read the recipe's section `deploy`; what the command line says goes first."""
    stated = load_deployment(recipe, overrides or ())
    said = {name: value for name, value in given.items() if value is not None}
    if "cron" in said or "every_s" in said:
        said = {"cron": None, "every_s": None, **said}
    if "pool" in given and given["pool"] is None and "image" not in given:
        said["pool"] = None  # serve has none
    return RECIPES.validated(Deployment, {**stated.model_dump(), **said}, recipe, f"{DEPLOY}.")
