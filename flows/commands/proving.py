"""Prove that refining helps, on scenes with exact depth: scenes, lab, train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import Overrides, RecipeName
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import Device
from redepth.errors import ConfigError
from redepth.scenes.scene import Split
from redepth.training.options import RefinerTraining, read_options

LAB_RECIPE = "mini"

PANEL = "Scenes with exact depth"

app = typer.Typer()
train_app = typer.Typer(help="Train the small models, or a refiner.", no_args_is_help=True)
app.add_typer(train_app, name="train", rich_help_panel=PANEL)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Example[/]\n\n"
    "redepth scenes --count 64 --family coins --family dunes --size 128 --out scenes/\n\n"
    "redepth label scenes/list.csv --out labels/ --recipe mini",
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
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth lab --quick\n\n"
    "redepth lab --group canonical --count 100 --set labels.refiner.token_learning_rate=0.003",
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
    device: Annotated[
        Device, typer.Option(help="auto is a GPU where there is one; it trains longer.")
    ] = "auto",
) -> None:
    """Train the small models that come with redepth, on rendered scenes."""
    quieten_prefect()
    from flows.train_mini import LOSSES_NAME
    from flows.train_mini import train_mini as train

    start_prefect_server()
    for model in train(str(out), steps_scale, seed, resume, device):
        terminal.out.print(f"{model.name} in {model.folder}", markup=False)
    terminal.out.print(f"how it went: {out / LOSSES_NAME}", markup=False)


@train_app.command(
    name="betterdepth",
    epilog="[bold]Examples[/]\n\nredepth train betterdepth --out refiner/\n\n"
    "redepth label hypersim/ --out coarse/ --recipe coarse\n\n"
    "redepth train betterdepth --out refiner/ --data hypersim/ --layout hypersim "
    "--labels coarse/ --init stable-diffusion/ --bf16",
)
def train_betterdepth(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder.")],
    data: Annotated[
        Path | None, typer.Option(help="A data set with depth; without it: scenes, mini model.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="hypersim, virtual-kitti-2, or scenes (of redepth scenes).")
    ] = "hypersim",
    labels: Annotated[
        str | None, typer.Option(help="Output of redepth label on --data: the coarse maps.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Folder of Stable Diffusion, Marigold or a refiner.")
    ] = None,
    init_variant: Annotated[str | None, typer.Option(help="Of its files, e.g. fp16.")] = None,
    height: Annotated[int, typer.Option(min=16, help="Of the crops, pixels.")] = 480,
    width: Annotated[int, typer.Option(min=16, help="Of the crops, pixels.")] = 640,
    steps: Annotated[int | None, typer.Option(min=1, help="Default: 5000; scenes 2872.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Default: 32; scenes 64.")] = None,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches that make a step.")] = 1,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 3e-5; scenes 5e-4.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of the weights' running mean.")] = None,
    patch_threshold: Annotated[
        float | None, typer.Option(help="Of the patch mask. Default: 0.1; scenes 0.25.")
    ] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Mixed precision, for a GPU.")] = False,
    ablation: Annotated[
        str, typer.Option(help="A variant of the mini model: docs/betterdepth.md.")
    ] = "full",
    scenes_scale: Annotated[float, typer.Option(help="Times the mini model's scenes.")] = 1.0,
    vae_steps: Annotated[int, typer.Option(min=1, help="Of the mini model's VAE.")] = 1252,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 200,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between checks.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoints in --out.")
    ] = False,
    device: Annotated[Device, typer.Option(help="auto is a GPU where there is one.")] = "auto",
) -> None:
    """Train a BetterDepth refiner: on rendered scenes, or on data with depth."""
    quieten_prefect()
    from flows.train_betterdepth import LOSSES_NAME, run_training
    from flows.train_betterdepth import train_betterdepth as train
    from redepth.training.workers import rank

    own_data = None
    if data is not None:
        if labels is None or init is None:
            raise ConfigError("--data needs --labels (the coarse maps) and --init (first weights)")
        own_data = {
            "folder": str(data),
            "layout": layout,
            "labels": labels,
            "init": str(init),
            "init_variant": init_variant,
            "height_px": height,
            "width_px": width,
        }
    options = read_options(
        RefinerTraining,
        {
            "out": str(out),
            "data": own_data,
            "ablation": ablation,
            "num_steps": steps,
            "batch_size": batch,
            "accumulate": accumulate,
            "learning_rate": learning_rate,
            "ema_decay": ema,
            "patch_threshold": patch_threshold,
            "bfloat16": bf16,
            "scenes_scale": scenes_scale,
            "vae_steps": vae_steps,
            "save_every": save_every,
            "validate_every": validate_every,
            "seed": seed,
            "resume": resume,
            "device": device,
        },
    )
    if rank():
        run_training(options, lambda what, done, total, loss: None)
        return
    start_prefect_server()
    model = train(options)
    terminal.out.print(f"{model.name} in {model.folder}", markup=False)
    terminal.out.print(f"how it went: {out / LOSSES_NAME}", markup=False)
