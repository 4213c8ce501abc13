"""Train a refiner, or the small models: one command a training method, made from its settings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows import terminal
from flows.commands.arguments import Overrides
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import shipped_recipes
from redepth.training import CONFIGS, METHODS
from redepth.training.method import TrainingMethod

app = typer.Typer()
train_app = typer.Typer(
    help="Train a refiner, or the small models that come with redepth.", no_args_is_help=True
)
app.add_typer(train_app, name="train", rich_help_panel="Scenes with exact depth")

Out = Annotated[Path, typer.Option("--out", "-o", help="A local folder.")]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="NAME_OR_FILE",
        help="A shipped config (below) or a YAML file; a training writes its own to --out.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the checkpoints in --out.")]
Show = Annotated[bool, typer.Option("--show", help="Print the settings as YAML and train nothing.")]


def _command(method: TrainingMethod) -> Callable[..., None]:
    def command(
        out: Out,
        config: Config = None,
        settings: Overrides = None,
        resume: Resume = False,
        show: Show = False,
    ) -> None:
        chosen = CONFIGS.load(method.settings, config or method.default_config, settings or [])
        if show:
            text = yaml.safe_dump(chosen.model_dump(mode="json"), sort_keys=False)
            terminal.out.print(text, markup=False, highlight=False)
            return
        _train(chosen, out, resume, config or method.default_config)

    command.__doc__ = method.summary
    return command


def _train(settings: Any, out: Path, resume: bool, config: str) -> None:
    quieten_prefect()
    from flows.train import LOSSES_NAME, rank, run_training, train

    if rank():
        run_training(settings, str(out), resume, lambda what, done, total, loss: None)
        return
    start_prefect_server()
    trained = train(settings, str(out), resume)
    for model in trained:
        terminal.out.print(f"{model.card.title} in {model.folder}", markup=False)
    terminal.out.print(f"losses: {out / LOSSES_NAME}", markup=False)
    command = next_command(METHODS[settings.method], config, [model.folder for model in trained])
    if command is not None:
        terminal.out.print(f"next: {command}", markup=False)


def next_command(method: TrainingMethod, config: str, folders: Sequence[Path]) -> str | None:
    """Return the command that labels with what was trained; None where no recipe takes it.

    The recipe is the one of the config's name, else of the method's.
    """
    recipe = next((name for name in (config, method.name) if name in shipped_recipes()), None)
    used = [f"{method.used_by[f.name]}={f}" for f in folders if f.name in method.used_by]
    if recipe is None or not used:
        return None
    settings = [word for setting in used for word in ("--set", setting)]
    label = ["redepth", "label", "PHOTOS", "--out", "labels/", "--recipe", recipe]
    return shlex.join([*label, *settings])


def _epilog(method: TrainingMethod) -> str:
    """Return examples, shipped configs and every setting, as paragraphs."""
    examples = [f"redepth train {method.name} {example}" for example in method.examples]
    configs = [
        f"[cyan]{name}[/]  {use}{' (the default)' if name == method.default_config else ''}"
        for name, use in CONFIGS.shipped().items()
        if CONFIGS.values(name, ())["method"] == method.name
    ]
    settings = [f"[cyan]{path}[/]  {text}" for path, text in _settings("", method.settings)]
    parts = {"Examples": examples, "Configs": configs, "Settings (--set)": settings}
    return "\n\n".join(
        text for title, lines in parts.items() for text in (f"[bold]{title}[/]", *lines)
    )


def _settings(path: str, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield (path, meaning) of every setting of a model, those of the groups in it included."""
    for name, field in model.model_fields.items():
        groups = _groups(field)
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            yield f"{path}{name}={field.default}", (getdoc(model) or "").split("\n", 1)[0]
        elif not groups:
            default = "required" if field.is_required() else field.get_default()
            yield f"{path}{name}", f"{field.description or ''} ({default})".strip()
        for group in groups:
            yield from _settings(f"{path}{name}.", group)


def _groups(field: FieldInfo) -> list[type[BaseModel]]:
    options = (field.annotation, *get_args(field.annotation))
    return [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]


for _method in METHODS.values():
    train_app.command(name=_method.name, epilog=_epilog(_method))(_command(_method))
