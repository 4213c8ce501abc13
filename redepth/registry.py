"""Names and the parts that answer to them: redepth's own, and those of installed packages.

A part owns itself: settings, models with their licences, checks, loader. It is listed under a name
in one place, and everything else (recipes, messages, licences, checks of weights, docs) asks here.

Another package brings parts as entry points of the groups below; the entry point's name is the
part's. They are imported when a recipe first asks for a name that is not redepth's own, and only
what is installed can be: a recipe from a stranger imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import metadata
from typing import Generic, Protocol, TypeVar

COARSE_MODELS = "redepth.coarse_models"
REFINERS = "redepth.refiners"
CAPTIONERS = "redepth.captioners"
EXPORTERS = "redepth.exporters"
DATASETS = "redepth.datasets"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'mini'?" for a misspelt name, nothing where none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Part(Protocol):
    """What a registry lists: it knows its name."""

    @property
    def name(self) -> str:
        """The name that recipes and commands use."""


P = TypeVar("P", bound=Part)


class Registry(Generic[P]):
    """The parts of one kind by name.

    Args:
        kind: what a person calls them, e.g. "coarse model".
        group: the entry points' group.
        of_type: what an entry point must load as.
        own: redepth's; their names cannot be taken by another package.
    """

    def __init__(self, kind: str, group: str, of_type: type[object], own: Iterable[P]) -> None:
        self.kind = kind
        self.group = group
        self.own = {part.name: part for part in own}
        self._type = of_type
        self._loaded: dict[str, P] = {}

    def __getitem__(self, name: str) -> P:
        """Return the part of a name.

        Raises:
            ValueError: there is none, or its package does not bring what it promises; says what
                to do.
        """
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __contains__(self, name: str) -> bool:
        return name in self.own or name in self._entry_points()

    def names(self) -> tuple[str, ...]:
        """Return every name, redepth's own first; imports no other package."""
        return (*self.own, *sorted(self._entry_points().keys() - self.own.keys()))

    def package(self, name: str) -> str | None:
        """Name the package that brings a part; None for redepth's own and for none at all."""
        point = None if name in self.own else self._entry_points().get(name)
        return None if point is None or point.dist is None else point.dist.name

    def _load(self, name: str) -> P:
        point = self._entry_points().get(name)
        if point is None:
            raise ValueError(
                f"no {self.kind} is called {name!r}; known: {', '.join(self.names())}"
                f"{did_you_mean(name, self.names())}. If another package brings it, install that "
                f"package here (entry points {self.group})"
            )
        try:
            part: P = point.load()
        except Exception as error:  # an import runs whatever the package does
            raise ValueError(
                f"{self.kind} {name!r} of the package {self.package(name)} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(part, self._type) or part.name != name:
            raise ValueError(
                f"{self.kind} {name!r}: {point.value} of the package {self.package(name)} is "
                f"{part!r:.80}, expected a {self._type.__name__} of that name"
            )
        return part

    def _entry_points(self) -> dict[str, metadata.EntryPoint]:
        return {point.name: point for point in metadata.entry_points(group=self.group)}
