"""What a training method is: its settings, its default config, and what trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redepth.training.settings import TrainingSettings

if TYPE_CHECKING:
    from redepth.training.engine.cards import TrainedModel
    from redepth.training.engine.run import Run


@dataclass(frozen=True, slots=True)
class TrainingMethod:
    """A training under the name that `redepth train` takes.

    Attributes:
        name: of the method; its settings' field `method` has it as the only value.
        summary: one sentence, what it trains.
        settings: what a config may say.
        default_config: a shipped one, for who gives none.
        train: trains and writes into the run's folder; brings in torch when called.
        examples: commands, without the leading `redepth train NAME`.
        used_by: recipe settings that name what was trained, by the folder it is written to.
    """

    name: str
    summary: str
    settings: type[TrainingSettings]
    default_config: str
    train: Callable[[Run[Any]], Sequence[TrainedModel]]
    examples: tuple[str, ...]
    used_by: Mapping[str, str] = field(default_factory=dict)
