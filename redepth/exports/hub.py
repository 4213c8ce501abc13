"""Labels as a data set on the Hugging Face hub: an export with a card that says what they are.

The card takes what it says from the labels themselves: kinds, models with their licences, what a
confidence means, how many images of which outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from redepth.errors import ConfigError, TransientError
from redepth.exports import card
from redepth.exports.writing import ExportPlan
from redepth.printable import code_span, one_line
from redepth.redaction import shown
from redepth.store.reader import Labels
from redepth.types import ModelCard

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# What licences say of what a model puts out, by how their names begin. A summary, no advice.
# CreativeML Open RAIL-M (2022-08-22) and RAIL++-M: section 6, and "derivatives" in section 1, which
# names training on generated data. Apple's: "exclusively for Research Purposes", not commercial.
_OPEN_RAIL = (
    "claims no rights in outputs, but its use restrictions hold for them, and for a model that is "
    "trained on them to do the same"
)
OUTPUTS = {
    "Apache-2.0": "says nothing of outputs",
    "MIT": "says nothing of outputs",
    "BSD": "says nothing of outputs",
    "CC-BY-NC": "forbids commercial use of the weights; take the labels for non-commercial, too",
    "CreativeML-OpenRAIL": _OPEN_RAIL,
    "OpenRAIL": _OPEN_RAIL,
    "Apple-AMLR": "for non-commercial research alone; take the labels for that, too",
}
UNKNOWN_OUTPUTS = "read the licence"
# The hub's own classes of size: below each, its name.
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
_LARGEST = "100M<n<1B"
_SERVER_ERROR = 500


def outputs_words(licence: str) -> str:
    """Return what a licence says of outputs, in a line."""
    return next(
        (said for name, said in OUTPUTS.items() if licence.startswith(name)), UNKNOWN_OUTPUTS
    )


def dataset_card(plan: ExportPlan) -> bytes:
    """Return README.md of the data set: the export's own head, and what the labels are."""
    exporter, contents = plan.request.exporter, plan.facts.contents
    said = {
        "license": "other",
        "task_categories": ["depth-estimation"],
        "tags": ["depth", "pseudo-labels", "redepth"],
        "size_categories": [_size(len(plan.labels))],
        **card.head(exporter, contents),
    }
    head = yaml.safe_dump(said, sort_keys=False)
    sections = [_summary(plan), _quantities(plan), _models(plan.labels), _provenance(plan.labels)]
    text = "\n\n".join(sections)
    return f"---\n{head}---\n\n{text}\n".encode()


def _size(number: int) -> str:
    return next((name for limit, name in _SIZES if number < limit), _LARGEST)


def _summary(plan: ExportPlan) -> str:
    counts = Counter(plan.labels.table(["outcome"])["outcome"].to_pylist())
    outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(counts.items()))
    photographs = (
        "The photographs are in it, at the labels' size; their rights are their authors'."
        if plan.request.with_images
        else "The photographs are not in it; `uri` says where they were."
    )
    lines = [
        "# Depth labels",
        f"{len(plan.labels):,} images ({outcomes}), made by models, not measured. {photographs}",
    ]
    if plan.request.keep is not None:
        share = f"{plan.request.keep:.0%}"
        lines.append(f"Of each image the surest {share} of the pixels have a value, no others.")
    if plan.labels.dataset.untrained:
        lines.append("**Untrained models (weights from a seed): these labels are meaningless.**")
    return "\n\n".join(lines)


def _quantities(plan: ExportPlan) -> str:
    rows = [
        (f"`{name}`", str(said["kind"]), str(said["unit"]), str(said["invalid"]))
        for name, said in plan.facts.described.items()
    ]
    meanings = plan.labels.dataset.recorded.meanings
    lines = [f"{name.capitalize()}: {one.line}." for name, one in meanings.items()]
    calibration = "\n\n".join(lines)
    table = _table(("quantity", "kind", "unit", "invalid"), rows)
    return f"## What the numbers are\n\n{table}\n\n{calibration}"


def _models(labels: Labels) -> str:
    rows = [_model_row(model) for model in labels.dataset.models]
    head = ("model", "role", "weights", "licence", "stated by", "what it says of outputs")
    banned = any(model.non_commercial for model in labels.dataset.models)
    words = (
        "A model forbids commercial use: these labels are not for commercial use."
        if banned
        else "No model's licence forbids commercial use."
    )
    return f"## Models and their licences\n\n{words}\n\n{_table(head, rows)}"


def _model_row(model: ModelCard) -> tuple[str, ...]:
    revision = "" if model.revision is None else f" at {model.revision[:12]}"
    source = code_span(f"{shown(model.source)}{revision}")
    licence = one_line(model.licence)
    said = outputs_words(model.licence)
    return (one_line(model.name), model.role, source, licence, model.licence_source, said)


def _provenance(labels: Labels) -> str:
    dataset = labels.dataset
    software = ", ".join(f"{name} {version}" for name, version in sorted(dataset.software.items()))
    return "\n".join(
        [
            "## How they were made",
            "",
            f"- recipe {code_span(dataset.recipe_name)}, digest `{dataset.recipe_digest}`",
            f"- begun {one_line(dataset.created)}",
            f"- {one_line(software)}",
            "",
            f"`{card.FACTS_NAME}` says the same for a program.",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def files_below(folder: Path) -> list[tuple[str, int]]:
    """Return what would be uploaded: names and bytes, sorted."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in found)


def upload(folder: Path, repo: str, *, private: bool, api: HfApi | None = None) -> str:
    """Upload a folder as a data set of the hub, made where there is none; return its URL.

    Args:
        repo: "owner/name".
        api: of another hub; None for the one that HF_ENDPOINT names, with this machine's token.

    Raises:
        ConfigError: no such owner, no right to write there, or no token.
        TransientError: the hub cannot be reached, or says that it cannot answer now.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx

    hub = HfApi() if api is None else api
    try:
        url = hub.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=url.repo_id, folder_path=folder, repo_type="dataset",
            commit_message="Depth labels",
        )  # fmt: skip
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is no name of a data set (owner/name): {error}") from error
    except OfflineModeIsEnabled as error:
        raise ConfigError("HF_HUB_OFFLINE is set: unset it to upload, or use --dry-run") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        words = f"the hub answered {status} for {repo}: {one_line(str(error))[:300]}"
        if status >= _SERVER_ERROR:
            raise TransientError(f"{words}; try again") from error
        raise ConfigError(f"{words}; log in with `hf auth login`, or name another owner") from error
    except httpx.TransportError as error:
        raise TransientError(f"the hub cannot be reached: {error}; try again") from error
    return str(url)
