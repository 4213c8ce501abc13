"""What refining several photographs gave, with what one of them can do."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from PIL import Image

from redepth.errors import ConfigError
from redepth.geometry.points import PointCloud
from redepth.predict.refined import DEFAULT_FORMATS, Refined
from redepth.report.pictures import draw_contact_sheet

MAX_ROWS = 20  # of a contact sheet: more would be too small to look at


class RefinedList(Sequence[Refined]):
    """The maps of several photographs, in the order they were given."""

    def __init__(self, all_refined: Sequence[Refined]) -> None:
        self._all = tuple(all_refined)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Refined]:
        return iter(self._all)

    @overload
    def __getitem__(self, index: int) -> Refined: ...
    @overload
    def __getitem__(self, index: slice) -> RefinedList: ...
    def __getitem__(self, index: int | slice) -> Refined | RefinedList:
        """Return one of them, or a part of the list."""
        return RefinedList(self._all[index]) if isinstance(index, slice) else self._all[index]

    def save(
        self, folder: str | Path, formats: Sequence[str] = DEFAULT_FORMATS
    ) -> tuple[Path, ...]:
        """Write every refined map into a folder, as `Refined.save`; return all paths.

        Raises:
            ConfigError: as `Refined.save`, or two photographs of one name.
        """
        alike = [name for name, number in Counter(r.row.id for r in self).items() if number > 1]
        if alike:
            raise ConfigError(
                f"several photographs are named {alike[0]!r}, and so would be their maps: save "
                "them one by one, into folders of their own"
            )
        return tuple(path for refined in self for path in refined.save(folder, formats))

    def plot(self) -> Image.Image:
        """Return a sheet of the first 20, a row each: photograph, coarse, refined, confidence."""
        if not self._all:
            raise ValueError("nothing to plot: the list is empty")
        pictures = [refined.picture() for refined in self._all[:MAX_ROWS]]
        title = f"{len(pictures)} of {len(self)}" if len(self) > MAX_ROWS else f"{len(self)}"
        return Image.open(io.BytesIO(draw_contact_sheet(pictures, f"{title} photographs")))

    def points(self) -> list[PointCloud]:
        """Return each map as points in metres, as `Refined.points`."""
        return [refined.points() for refined in self]

    def _repr_html_(self) -> str:
        """Show all of them in a notebook, one below the other."""
        return "".join(f"<div>{refined._repr_html_()}</div>" for refined in self._all[:MAX_ROWS])

    def __repr__(self) -> str:
        return f"RefinedList({', '.join(map(repr, self))})"
