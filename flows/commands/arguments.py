"""What several commands are given."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from redepth.datasets import datasets
from redepth.errors import ConfigError
from redepth.metrics.alignments import Alignment
from redepth.redaction import refuse_secrets

DEFAULT_RECIPE = "redepth-anything-fast"


class Retry(StrEnum):
    """Outcomes that can be tried again."""

    FAILED = "failed"
    REJECTED = "rejected"
    FELL_BACK = "fell_back"


def values_of(settings: Sequence[str] | None) -> dict[str, str]:
    """Return the settings of `--set KEY=VALUE`, by name; their model reads the values."""
    values = {}
    for text in settings or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes KEY=VALUE, got {text!r}")
        values[key] = value
    return values


def checked_url(url: str) -> str:
    """Refuse secrets before anything is printed, or given to Prefect, which stores parameters."""
    refuse_secrets(url)
    return url


class CollectionCommand(TyperCommand):
    """A command that takes one collection: where the shell expanded a glob, say how to quote it.

    Its app lets further words through (`ANY_WORDS`), so that they are judged here.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; refuse those that are too many."""
        left: list[str] = super().parse_args(ctx, args)
        if ctx.args:
            raise ConfigError(_too_many(ctx.info_name, ctx.args))
        return left


ANY_WORDS = {"allow_extra_args": True}


def _too_many(command: str, words: Sequence[str]) -> str:
    if not all(Path(word).exists() for word in words):
        return f"{command} takes one collection, and does not know {shlex.join(words[:3])}"
    suffixes = {Path(word).suffix for word in words}
    pattern = str(Path(words[0]).parent / f"*{suffixes.pop() if len(suffixes) == 1 else ''}")
    return (
        f"{command} takes one collection, and was given {len(words) + 1} paths: the shell has "
        f"expanded a glob. Quote it, so that redepth reads it: "
        f"redepth {command} {shlex.quote(pattern)}"
    )


Photos = Annotated[
    str,
    typer.Argument(
        metavar="PHOTOS",
        callback=checked_url,
        help="A folder, a glob in quotes, an s3:// prefix, one image, or a list (.txt, .csv, .tsv, "
        ".json, .jsonl, .parquet with a column 'uri', optionally 'caption', 'id', and 'focal_px' "
        "or 'fov_deg'), or a tar, zip or Parquet file that holds the images; several by a glob or "
        "by braces, 'shards/{000..010}.tar'.",
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out", "-o", callback=checked_url, help="Where labels go: a folder or any fsspec URL."
    ),
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
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; can be repeated."),
]
AllowPhotographs = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="ROOT",
        help="Where else photographs may be read from, besides this machine and the labels' own "
        "bucket or host: s3://bucket/photos, https://example.org; may be given again.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Use only the first N photographs.")]
RetryOption = Annotated[
    list[Retry] | None,
    typer.Option(
        "--retry",
        metavar="OUTCOME",
        help="Try images with this outcome again; can be repeated.",
    ),
]
LabelsUrl = Annotated[
    str,
    typer.Argument(metavar="LABELS", callback=checked_url, help="An output of redepth label."),
]
FirstLabelsUrl = Annotated[
    str, typer.Argument(metavar="A", callback=checked_url, help="An output of redepth label.")
]
OtherLabelsUrl = Annotated[
    str,
    typer.Argument(metavar="B", callback=checked_url, help="Another output, of the same images."),
]
ExportOut = Annotated[
    str,
    typer.Option("--out", "-o", callback=checked_url, help="A folder or any fsspec URL."),
]

GroundTruthPath = Annotated[
    Path,
    typer.Option(
        "--ground-truth",
        metavar="DIR",
        help="A folder or a file in the format, or a .csv with columns 'uri' and 'ground_truth'.",
    ),
]
DatasetFormat = Annotated[
    str,
    typer.Option(
        "--dataset-format",
        metavar="NAME",
        help=f"The data set's format: {', '.join(datasets.names())}.",
    ),
]
AlignOption = Annotated[
    Alignment | None,
    typer.Option(
        "--align",
        help="How labels are aligned to the ground truth. Default: what their kind leaves free, "
        "which is scale and shift, or nothing for metric depth.",
        show_default=False,
    ),
]
Partial = Annotated[
    bool,
    typer.Option(
        "--partial",
        help="Leave out and count images without readable ground truth, instead of refusing them.",
    ),
]
