"""The model card beside trained weights: what was trained on what, for how long, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_CARD = """\
---
license: {license}
library_name: {library}
---
# redepth {title}

{what}

| | |
|---|---|
| seed | {seed} |
| {seen} | {scenes} |
{stages}| size | {megabytes:.1f} MB, float16 safetensors |
| licence | {licence} |

Made by `{command}`; how, and what it measures: {page}.

## Limits

{limits}
"""


@dataclass(frozen=True, slots=True)
class CardText:
    """What a card says that does not depend on the run.

    Attributes:
        title: the model's name.
        library: that reads it: transformers or diffusers.
        what: architecture, size, and what it was trained on.
        limits: what it is not for.
        command: that makes it.
        page: of the docs, with what it measures.
        seen: what the counted examples are.
        license: identifier for the hub.
        licence: the same for people.
    """

    title: str
    library: str
    what: str
    limits: str
    command: str
    page: str
    seen: str = "scenes (training split)"
    license: str = "apache-2.0"
    licence: str = "Apache-2.0; trained on rendered scenes alone"


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model that was trained and written.

    Attributes:
        card: what its card says.
        folder: that holds it.
        scenes: how many of each family were rendered, or pictures of a data set.
        losses: of every step, by stage.
    """

    card: CardText
    folder: Path
    seed: int
    scenes: Mapping[str, int]
    losses: Mapping[str, Sequence[float]]


def write_card(model: TrainedModel) -> TrainedModel:
    """Write README.md into the model's folder; return the model."""
    card = _CARD.format(
        **asdict(model.card),
        seed=model.seed,
        scenes=", ".join(f"{count} {family}" for family, count in model.scenes.items()),
        stages="".join(_stage_row(name, losses) for name, losses in model.losses.items()),
        megabytes=sum(f.stat().st_size for f in model.folder.rglob("*.safetensors")) / 1e6,
    )
    (model.folder / "README.md").write_text(card, encoding="utf-8")
    return model


def _stage_row(name: str, losses: Sequence[float]) -> str:
    tail = losses[-50:]
    return f"| {name} | {len(losses)} steps, loss {sum(tail) / len(tail):.4f} at the end |\n"
