"""A recipe's models, loaded once, for photographs one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import overload

from rich.console import Console
from rich.progress import track

from redepth.config import load_recipe
from redepth.errors import ImageRejected, RefinementFailed
from redepth.images.decode import decode
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.predict.pictures import Picture, content_of, name_of
from redepth.predict.refined import Refined
from redepth.predict.refined_list import RefinedList
from redepth.types import ImageRef, Label, ModelCard, Outcome

DEFAULT_RECIPE = "redepth-anything-fast"


class Refiner:
    """Refine photographs, each by one call: `redepth.Refiner("mini")(photograph)`.

    Args:
        recipe: the name of a shipped recipe (`redepth recipes`), or the path of a YAML file.
        settings: what to change of it, each "labels.refiner.num_steps=50".

    Raises:
        ConfigError: no such recipe, a setting that does not validate, or weights that cannot be
            had; says the fix.
    """

    def __init__(self, recipe: str = DEFAULT_RECIPE, settings: Sequence[str] = ()) -> None:
        self.recipe = load_recipe(recipe, settings)
        self._labeller: Labeller = load_labeller(self.recipe.labels)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every model that was loaded, the coarse one first."""
        return self._labeller.cards

    def __call__(
        self,
        picture: Picture,
        *,
        caption: str | None = None,
        focal_px: float | None = None,
        fov_deg: float | None = None,
    ) -> Refined:
        """Refine one photograph.

        Args:
            picture: a path or URL, a PIL image, an array or a tensor; see
                `redepth.predict.pictures.content_of`.
            caption: the prior's prompt, where the method reads one.
            focal_px: of the camera, in pixels of the upright photograph; default: its EXIF's.
            fov_deg: or its horizontal field of view.

        Returns:
            Its maps. Where the guard refused the refined map they are the coarse ones, and
            `row.outcome` says so.

        Raises:
            ImageRejected: it is not a usable photograph.
            RefinementFailed: refining it went wrong.
            ValueError: an array or tensor that is no picture.
        """
        content = content_of(picture, self.recipe.labels.decoding)
        name = name_of(picture, content)
        ref = ImageRef(name, name, caption=caption, focal_px=focal_px, fov_deg=fov_deg)
        label = _with_maps(self._labeller.label_content(ref, content))
        assert label.arrays is not None, "it has maps"
        photograph = decode(content, self.recipe.labels.decoding)
        return Refined(label.row, label.arrays, photograph.rgb_hw3)

    def many(self, pictures: Iterable[Picture], *, progress: bool = False) -> Iterator[Refined]:
        """Refine photographs one after the other, each when it is asked for.

        Args:
            progress: whether to show a bar.
        """
        for picture in _with_bar(pictures) if progress else pictures:
            yield self(picture)


@overload
def refine(
    picture: Picture,
    recipe: str = ...,
    *,
    settings: Sequence[str] = ...,
    caption: str | None = ...,
    focal_px: float | None = ...,
    fov_deg: float | None = ...,
) -> Refined: ...
@overload
def refine(
    picture: list[Picture] | tuple[Picture, ...],
    recipe: str = ...,
    *,
    settings: Sequence[str] = ...,
    caption: str | None = ...,
    focal_px: float | None = ...,
    fov_deg: float | None = ...,
) -> RefinedList: ...
def refine(
    picture: Picture | list[Picture] | tuple[Picture, ...],
    recipe: str = DEFAULT_RECIPE,
    *,
    settings: Sequence[str] = (),
    caption: str | None = None,
    focal_px: float | None = None,
    fov_deg: float | None = None,
) -> Refined | RefinedList:
    """Refine a photograph, or a list of them with a progress bar.

    Loads the models at each call: to refine now and then, keep a `Refiner`.

    Args:
        picture: a path or URL, a PIL image, an array or a tensor; or a list of these, for which
            caption and camera hold all the same.
        recipe, settings: as `Refiner`.
        caption, focal_px, fov_deg: as a `Refiner`'s call.

    Raises:
        ConfigError: as `Refiner`.
        ImageRejected, RefinementFailed, ValueError: as a `Refiner`'s call.
    """
    call = partial(Refiner(recipe, settings), caption=caption, focal_px=focal_px, fov_deg=fov_deg)
    if isinstance(picture, list | tuple):
        return RefinedList([call(one) for one in _with_bar(picture)])
    return call(picture)


def _with_bar(pictures: Iterable[Picture]) -> Iterable[Picture]:
    return track(pictures, description="refining", console=Console(stderr=True))


def _with_maps(label: Label) -> Label:
    """Raise what became of an image without maps."""
    if label.row.outcome is Outcome.REJECTED:
        raise ImageRejected(f"{label.row.id}: {label.row.reason}")
    if label.row.outcome is Outcome.FAILED:
        raise RefinementFailed(f"{label.row.id}: {label.row.reason}")
    return label
