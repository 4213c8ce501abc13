"""The rounds of a student: each learns from more labels, and goes on from the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import Field, ValidationError

from redepth.errors import ConfigError
from redepth.settings import Settings
from redepth.store.objects import Objects

NAME = "rounds.json"
_MAX_BYTES = 2**20


class Round(Settings):
    """One training of a student.

    Attributes:
        number: from 1.
        digest: of the labels that it learns from.
        num_images: that the teacher refined.
        kept_share: of the teacher's change on images kept out of the training; None until it ends.
        kept_share_before: that of the student it went on from, on the same images.
    """

    number: int = Field(ge=1)
    digest: str
    num_images: int = Field(ge=1)
    kept_share: float | None = None
    kept_share_before: float | None = None

    @property
    def folder(self) -> str:
        """The name of its training's folder."""
        return f"round-{self.number}"


class Rounds(Settings):
    """All of them, in their order."""

    rounds: tuple[Round, ...] = ()

    def current(self, urls: Sequence[str], ids: Sequence[str]) -> Round:
        """Return the round that learns from these labels: the last one, or one more."""
        digest = hashlib.sha256("\x1f".join((*urls, *ids)).encode()).hexdigest()
        if self.rounds and self.rounds[-1].digest == digest:
            return self.rounds[-1]
        done = [one for one in self.rounds if one.kept_share is not None]
        return Round(number=len(done) + 1, digest=digest, num_images=len(ids))

    def before(self, number: int) -> Round | None:
        """Return the round that another one goes on from."""
        return self.rounds[number - 2] if number > 1 else None

    def with_round(self, new: Round) -> Rounds:
        """Return them with a round in its place; later ones are gone."""
        return Rounds(rounds=(*self.rounds[: new.number - 1], new))


def read_rounds(objects: Objects) -> Rounds:
    """Read them; none where none began.

    Raises:
        ConfigError: what is there is no list of rounds.
    """
    if not objects.exists(NAME):
        return Rounds()
    try:
        return Rounds.model_validate_json(objects.read(NAME, _MAX_BYTES))
    except ValidationError as error:
        raise ConfigError(
            f"{objects.url}/{NAME} is no list of rounds of redepth distill: {error}. Give another "
            "--out, or remove the file to begin anew"
        ) from None


def write_rounds(objects: Objects, rounds: Rounds) -> None:
    """Write them."""
    objects.put(NAME, rounds.model_dump_json(indent=2).encode())
