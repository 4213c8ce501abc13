"""Two small refiners for cascades: one that predicts what the other would change, and the other.

The quick one adds a hundredth of the map's slope, the thorough one twenty times as much. What the
quick one predicts is the red of the picture's last pixel over 255, so that a test can choose it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from redepth.coarse.part import CoarseModel
from redepth.config import LabelSettings
from redepth.errors import RefinementFailed
from redepth.flops import Flops
from redepth.refiners import refiners
from redepth.refiners.batches import RefineOutcome
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings, WorkContext
from redepth.refiners.refiner import RefinementInput
from redepth.refiners.triage import FILE, RecordedTriage, Teacher, fit_triage, read_triage
from redepth.settings import Licence, ModelUse, Weights
from redepth.types import ByteImage, CoarseDepth, DepthKind, Extra, FloatMap, Members, ModelCard

SIZE_HW = (6, 8)
TEACHER = Teacher(recipe="thorough-alone", digest="7" * 64)
# Of 100 held-out images, predicted 0.005 to 0.995, each changed as predicted.
HELD_OUT = np.arange(0.005, 1.0, 0.01)
QUICK_CARD = ModelCard("refiner", "quick", "folder", None, "1" * 64, "MIT")
THOROUGH_CARD = ModelCard("refiner", "thorough", "hub/thorough", "main", "2" * 64, "CC-BY-NC-4.0")


class Quick(RefinerSettings):
    method: Literal["quick"] = "quick"
    weights: Weights = Weights()
    strength: float = 0.01


class Thorough(RefinerSettings):
    method: Literal["thorough"] = "thorough"
    strength: float = 0.2


@dataclass
class QuickRefiner:
    """Fails where the last pixel has no blue, refuses where it has no green; takes batches."""

    strength: float = 0.01
    cards: tuple[ModelCard, ...] = (QUICK_CARD,)
    batches: list[int] = field(default_factory=list)
    says: Members | None = None

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        return None

    def refine(self, scene: RefinementInput) -> Members:
        if self.says is not None:
            return self.says
        red, green, blue = scene.rgb_hw3[-1, -1].tolist()
        if not blue:
            raise RefinementFailed("unlike what it was distilled from: no blue")
        refused = None if green else "no green"
        maps_ehw = moved(scene.coarse.map_hw, self.strength)[None]
        return Members(maps_ehw, refused=refused, predicted_gain=red / 255)

    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        self.batches.append(len(scenes))
        found: list[RefineOutcome] = []
        for scene in scenes:
            try:
                found.append(self.refine(scene))
            except RefinementFailed as error:
                found.append(error)
        return found


@dataclass
class ThoroughRefiner:
    """Fails where the first pixel is black, refuses where it is all ones; keeps what it saw."""

    strength: float = 0.2
    cards: tuple[ModelCard, ...] = (THOROUGH_CARD,)
    asked: list[RefinementInput] = field(default_factory=list)
    extra: Extra = field(default_factory=dict)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        return own_caption or "a photograph"

    def refine(self, scene: RefinementInput) -> Members:
        self.asked.append(scene)
        if not scene.rgb_hw3[0, 0].any():
            raise RefinementFailed("no member came through")
        refused = "a corner of 1" if scene.rgb_hw3[0, 0].tolist() == [1, 1, 1] else None
        map_hw = moved(scene.coarse.map_hw, self.strength)
        return Members(np.stack([map_hw, map_hw]), num_steps=5, refused=refused, extra=self.extra)


def moved(map_hw: FloatMap, strength: float) -> FloatMap:
    """Return a map with its values drawn apart along the columns."""
    slope_w = np.linspace(-1, 1, map_hw.shape[1], dtype=np.float32)
    return map_hw + np.float32(strength) * slope_w


def scene(
    name: str, red: int, *, green: int = 9, blue: int = 9, corner: int = 9
) -> RefinementInput:
    """Return an image whose predicted gain is red / 255."""
    rgb_hw3 = np.empty((*SIZE_HW, 3), dtype=np.uint8)
    rgb_hw3[:] = red, green, blue
    rgb_hw3[0, 0] = corner
    seed = int.from_bytes(name.encode(), "big") % 2**32
    map_hw = np.random.default_rng(seed).random(SIZE_HW, dtype=np.float32)
    coarse = CoarseDepth(map_hw, DepthKind.AFFINE_DISPARITY)
    return RefinementInput(name, rgb_hw3, coarse, "", own_caption="a wall")


def write_triage(folder: Path) -> Path:
    """Write a triage by which a share s of images lies above 1 - s."""
    folder.mkdir(parents=True, exist_ok=True)
    triage = fit_triage(HELD_OUT, HELD_OUT, TEACHER)
    (folder / FILE).write_text(triage.model_dump_json())
    return folder


def quick_triage(settings: Quick) -> RecordedTriage:
    return read_triage(settings.weights, None)


def quick_models(settings: Quick) -> list[ModelUse]:
    return [ModelUse("refiner", "quick", settings.weights, None)]


def thorough_models(settings: Thorough) -> list[ModelUse]:
    licence = Licence("CC-BY-NC-4.0", non_commercial=True)
    return [ModelUse("prior", "thorough", Weights(), None, licence)]


def require_disparity(settings: Thorough, coarse: CoarseModel) -> None:
    if coarse.kind.is_metric:
        raise ValueError("thorough takes no metres")


def flops_a_px(number: float, dtype: str) -> Any:
    def flops(settings: RefinerSettings, context: WorkContext) -> Flops:
        steps = context.image.num_steps or 1
        return {dtype: number * steps * context.image.num_px}

    return flops


def load_quick(settings: Quick, context: LoadContext) -> QuickRefiner:
    return QuickRefiner(settings.strength)


def load_thorough(settings: Thorough, context: LoadContext) -> ThoroughRefiner:
    return ThoroughRefiner(settings.strength)


QUICK = RefinerPart(
    "quick", Quick, load_quick, quick_models, flops=flops_a_px(2.0, "float32"), triage=quick_triage
)
THOROUGH = RefinerPart(
    "thorough",
    Thorough,
    load_thorough,
    thorough_models,
    require_disparity,
    flops=flops_a_px(1000.0, "float16"),
    alone="optimises every image for itself",
)


@contextmanager
def registered() -> Iterator[None]:
    """List both among the refiners."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(refiners.own, "quick", QUICK)
        patched.setitem(refiners.own, "thorough", THOROUGH)
        yield


def cascade_settings(folder: Path, budget: object = "30%", **changes: Any) -> LabelSettings:
    """Return a recipe's labels with a cascade on the small coarse model."""
    refiner = {
        "method": "cascade",
        "cheap": {"method": "quick", "weights": {"folder": str(folder), "licence": "MIT"}},
        "expensive": {"method": "thorough"},
        "budget": budget,
    }
    return LabelSettings.model_validate(
        {
            "coarse": {"preset": "mini", "size_px": 56, "weights": {"seed": 0}},
            "compute": {"device": "cpu"},
            "refiner": refiner,
        }
        | changes
    )
