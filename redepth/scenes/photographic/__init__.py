"""Scenes that look like photographs, with exact depth: rooms, desks, streets, country, close views.

camera.py bodies.py   what a ray meets
textures.py stage.py  what surfaces wear, and the lights
render.py             from a stage to a picture and its disparity
builder.py things.py  furniture, plants, cars, people, animals
rooms.py outdoors.py subjects.py   what is composed of them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from redepth.scenes.draws import scene_generator
from redepth.scenes.photographic.builder import Builder, Style
from redepth.scenes.photographic.outdoors import country, street
from redepth.scenes.photographic.render import render
from redepth.scenes.photographic.rooms import corridor, desk, room
from redepth.scenes.photographic.stage import Photograph, Stage
from redepth.scenes.photographic.subjects import close_up, portrait, table_top
from redepth.scenes.photographic.textures import KINDS, texture_bank
from redepth.scenes.scene import Split

SIZE_HW = (192, 256)

COMPOSERS: Mapping[str, Callable[[Builder, tuple[int, int]], Stage]] = {
    "room": room,
    "desk": desk,
    "corridor": corridor,
    "street": street,
    "country": country,
    "portrait": portrait,
    "table_top": table_top,
    "close_up": close_up,
}

TRAINED = Style("trained", 1, KINDS, 0.6, shadows=0.6, near_lamps=0.6, round_share=0.4)
# What a network is tuned on looks otherwise: other tiles and only some kinds of them, flat light
# without shadows, duller colours, mostly round things.
OTHER = Style(
    "other", 2, ("collage", "checks", "stripes", "blots"), 0.4,
    shadows=0.0, near_lamps=0.0, round_share=0.9,
)  # fmt: skip


def photograph(
    family: str,
    seed: int,
    split: Split = Split.TRAIN,
    style: Style = TRAINED,
    size_hw: tuple[int, int] = SIZE_HW,
) -> Photograph:
    """Render one scene: a function of the arguments alone.

    Raises:
        KeyError: no such family; see `COMPOSERS`.
    """
    rng = scene_generator(f"photographic {style.name} {family}", seed, split)
    bank = texture_bank(style.bank_seed)
    build = Builder(rng, style, bank)
    return render(COMPOSERS[family](build, size_hw), bank)
