"""Train the small models, or a refiner: train mini, betterdepth, sharpdepth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import DatasetFormat
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.errors import ConfigError
from redepth.settings import Device
from redepth.training.options import RefinerTraining, SharpDepthOptions, read_options

app = typer.Typer()
train_app = typer.Typer(help="Train the small models, or a refiner.", no_args_is_help=True)
app.add_typer(train_app, name="train", rich_help_panel="Scenes with exact depth")

SaveEvery = Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")]
ValidateEvery = Annotated[int, typer.Option(min=1, help="Steps between checks.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all draws.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoints in --out.")]
AnyDevice = Annotated[Device, typer.Option(help="auto is a GPU where there is one.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Mixed precision, for a GPU.")]
Accumulate = Annotated[int, typer.Option(min=1, help="Batches that make a step.")]
CropHeight = Annotated[int, typer.Option("--height", min=16, help="Of the crops, pixels.")]
CropWidth = Annotated[int, typer.Option("--width", min=16, help="Of the crops, pixels.")]
InitVariant = Annotated[str | None, typer.Option(help="Of its files, e.g. fp16.")]


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
    resume: Resume = False,
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
    "redepth train betterdepth --out refiner/ --data hypersim/ --dataset-format hypersim "
    "--labels coarse/ --init stable-diffusion/ --bf16",
)
def train_betterdepth(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder.")],
    data: Annotated[
        Path | None, typer.Option(help="A data set with depth; without it: scenes, mini model.")
    ] = None,
    dataset_format: DatasetFormat = "hypersim",
    labels: Annotated[
        str | None, typer.Option(help="Output of redepth label on --data: the coarse maps.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Folder of Stable Diffusion, Marigold or a refiner.")
    ] = None,
    init_variant: InitVariant = None,
    height: CropHeight = 480,
    width: CropWidth = 640,
    steps: Annotated[int | None, typer.Option(min=1, help="Default: 5000; scenes 2872.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Default: 32; scenes 64.")] = None,
    accumulate: Accumulate = 1,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 3e-5; scenes 5e-4.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of the weights' running mean.")] = None,
    patch_threshold: Annotated[
        float | None, typer.Option(help="Of the patch mask. Default: 0.1; scenes 0.25.")
    ] = None,
    bf16: Bf16 = False,
    ablation: Annotated[
        str, typer.Option(help="A variant of the mini model: docs/betterdepth.md.")
    ] = "full",
    scenes_scale: Annotated[float, typer.Option(help="Times the mini model's scenes.")] = 1.0,
    vae_steps: Annotated[int, typer.Option(min=1, help="Of the mini model's VAE.")] = 1252,
    save_every: SaveEvery = 200,
    validate_every: ValidateEvery = 500,
    seed: Seed = 0,
    resume: Resume = False,
    device: AnyDevice = "auto",
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
            "dataset_format": dataset_format,
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


@train_app.command(
    name="sharpdepth",
    epilog="[bold]Examples[/]\n\nredepth train sharpdepth --out sharpener/\n\n"
    "redepth label photographs/ --out metric/ --recipe metric\n\n"
    "redepth train sharpdepth --out sharpener/ --labels metric/ --init lotus-depth-g/ --bf16",
)
def train_sharpdepth(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder.")],
    labels: Annotated[
        str | None,
        typer.Option(help="Output of redepth label, metric; without it: scenes, mini models."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Folder of a Lotus-G: the teacher. With scenes: what it goes on from."),
    ] = None,
    init_variant: InitVariant = None,
    height: CropHeight = 480,
    width: CropWidth = 640,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of the student. Default: 13000.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Default: 16.")] = None,
    accumulate: Accumulate = 1,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 1e-6.")] = None,
    ema: Annotated[float | None, typer.Option(help="Of the weights. Default: 0.9999.")] = None,
    reconstruction_weight: Annotated[
        float | None, typer.Option(min=0, help="Lambda. Default: 0.3; 0.4 as released.")
    ] = None,
    pure_noise: Annotated[float, typer.Option(help="Share of first passes among the draws.")] = 0.2,
    gate: Annotated[str, typer.Option(help="quantile, or max as released.")] = "quantile",
    gated_noise: Annotated[str, typer.Option(help="pure, or latent as released.")] = "pure",
    bf16: Bf16 = False,
    scale: Annotated[float, typer.Option(help="Times the mini models' scenes and steps.")] = 1.0,
    save_every: SaveEvery = 200,
    validate_every: ValidateEvery = 500,
    seed: Seed = 0,
    resume: Resume = False,
    device: AnyDevice = "auto",
) -> None:
    """Train a SharpDepth refiner: on rendered scenes, or on pictures with metric labels."""
    quieten_prefect()
    from flows.train_sharpdepth import LOSSES_NAME, run_training
    from flows.train_sharpdepth import train_sharpdepth as train
    from redepth.training.workers import rank

    if labels is not None and init is None:
        raise ConfigError("--labels (metric maps) needs --init (the teacher: a Lotus-G's folder)")
    pictures = {
        "labels": labels,
        "init": str(init),
        "init_variant": init_variant,
        "height_px": height,
        "width_px": width,
    }
    options = read_options(
        SharpDepthOptions,
        {
            "out": str(out),
            "data": None if labels is None else pictures,
            "teacher": str(init) if labels is None and init is not None else None,
            "teacher_variant": init_variant if labels is None else None,
            "num_steps": steps,
            "batch_size": batch,
            "accumulate": accumulate,
            "learning_rate": learning_rate,
            "ema_decay": ema,
            "reconstruction_weight": reconstruction_weight,
            "pure_noise_share": pure_noise,
            "gate_normaliser": gate,
            "gated_noise": gated_noise,
            "bfloat16": bf16,
            "scale": scale,
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
    for model in train(options):
        terminal.out.print(f"{model.name} in {model.folder}", markup=False)
    terminal.out.print(f"how it went: {out / LOSSES_NAME}", markup=False)
