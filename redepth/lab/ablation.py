"""What cheaper settings of Re-Depth Anything keep of its gain, and what a member costs with them.

A variant is a few settings of the refiner in place of the recipe's. Every variant refines the same
scenes with one member; maps are scored as everywhere in the lab, and compared scene by scene.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import torch

from redepth.coarse.estimator import TokenDepthEstimator, load_token_estimator
from redepth.config import LabelSettings, load_recipe
from redepth.costing.work import recipe_flops
from redepth.errors import ConfigError, RefinementFailed
from redepth.evaluation.scores import larger_is_better
from redepth.flops import ImageWork
from redepth.lab.scoring import score
from redepth.metrics.bootstrap import RatioInterval, bootstrap_ratio
from redepth.metrics.paired import PairedChange, paired_change
from redepth.refiners.redepth_anything import ENCODERS, ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split
from redepth.types import FloatMap

CPU = torch.device("cpu")
FIGURES = ("abs_rel", "normal_deg", "edge_f1")
GAIN = "abs_rel"
FULL_SIZE = "redepth-anything"
_PHOTOGRAPH_PX = 392, 518
_TIMED_STEPS = 8


@dataclass(frozen=True, slots=True)
class Variant:
    """Settings of the refiner in place of the recipe's.

    Attributes:
        changes: each as `name=value`, below `labels.refiner`.
        tiny_encoder: take the tiny encoder of the recipe's prior, whichever that is.
    """

    name: str
    changes: tuple[str, ...] = ()
    tiny_encoder: bool = False

    def settings(self, recipe: str) -> LabelSettings:
        """Return what a recipe's labels are with this variant and one member.

        Raises:
            ConfigError: a setting that does not validate, or another method.
        """
        own = load_recipe(recipe).labels.refiner
        if not isinstance(own, ReDepthAnything):
            raise ConfigError("the lab measures recipes with refiner.method: redepth_anything")
        tiny = [name for name, preset in ENCODERS.items() if preset.prior == own.prior.preset]
        encoder = (f"prior.encoder={tiny[0]}",) if self.tiny_encoder else ()
        changes = (*self.changes, *encoder, "num_members=1")
        return load_recipe(recipe, [f"labels.refiner.{change}" for change in changes]).labels


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step of one member costs.

    Attributes:
        flops: of the recipe that is measured, as `redepth plan` counts them.
        flops_full_size: of `redepth-anything`, of a photograph of 518 x 392 px, with this variant.
        cpu_seconds: of one thread, the best of some turns.
    """

    flops: float
    flops_full_size: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One scene that one member refined.

    Attributes:
        coarse, refined: `FIGURES` over the whole picture; `refined` is None where no member came
            through.
        num_steps: that the member took.
    """

    variant: str
    family: str
    seed: int
    coarse: dict[str, float]
    refined: dict[str, float] | None
    num_steps: int


class AblationBench:
    """The models of one variant, and what is measured with them."""

    def __init__(self, recipe: str, variant: Variant) -> None:
        """Load the recipe's models on the CPU.

        Raises:
            ConfigError: a setting that does not validate, or another method.
        """
        settings = variant.settings(recipe)
        torch.set_num_threads(1)
        self.variant = variant
        self._recipe = recipe
        self._settings = settings
        self._method = cast("ReDepthAnything", settings.refiner)
        self._estimator: TokenDepthEstimator = load_token_estimator(settings.coarse, CPU)
        self._prior = load_prior(self._method.prior, settings.compute, CPU)

    def measure(self, family: str, seed: int, split: Split) -> Trial:
        """Render a scene, refine it, and score both maps."""
        scene, judged = self._judged(family, seed, split)
        refined, num_steps = None, self._method.num_steps
        try:
            members = self._refiner(self._method).refine(judged)
        except RefinementFailed:
            pass
        else:
            refined = _figures(members.maps_ehw[0], scene)
            num_steps = num_steps if members.num_steps is None else members.num_steps
        coarse = _figures(judged.coarse.map_hw, scene)
        return Trial(self.variant.name, family, seed, coarse, refined, num_steps)

    def cost(self, num_turns: int) -> Cost:
        """Count the operations of a step, and time some steps a few times."""
        _, judged = self._judged("faces", 0, Split.TUNING)
        short, long = (self._refiner(self._with_steps(n)) for n in (0, _TIMED_STEPS))
        early, late = (min(_seconds(r, judged) for _ in range(num_turns)) for r in (short, long))
        side_px = self._settings.coarse.size_px
        return Cost(
            flops=step_flops(self._settings, side_px, side_px),
            flops_full_size=step_flops(self.variant.settings(FULL_SIZE), *_PHOTOGRAPH_PX),
            cpu_seconds=(late - early) / _TIMED_STEPS,
        )

    def _judged(self, family: str, seed: int, split: Split) -> tuple[Scene, RefinementInput]:
        size_px = self._settings.coarse.size_px
        height_px, _ = self._estimator.processing_size(size_px, size_px)
        scene = render_scene(family, seed, height_px, split)
        coarse = self._estimator.estimate(scene.rgb_hw3)
        return scene, RefinementInput(scene.id, scene.rgb_hw3, coarse, scene.caption)

    def _refiner(self, method: ReDepthAnything) -> ReDepthAnythingRefiner:
        seed = self._settings.seed
        return ReDepthAnythingRefiner(method, seed, self._estimator, self._prior, None, CPU)

    def _with_steps(self, num_steps: int) -> ReDepthAnything:
        return self._method.model_copy(update={"num_steps": num_steps})


def step_flops(settings: LabelSettings, height_px: int, width_px: int) -> float:
    """Return the operations of one step of one member."""
    none, one = (
        sum((recipe_flops(settings, ImageWork(height_px, width_px, num_steps=n)) or {}).values())
        for n in (0, 1)
    )
    return one - none


def change(trials: Sequence[Trial], figure: str) -> PairedChange | None:
    """Return how a figure changed from the coarse maps to the refined ones, scene by scene."""
    pairs = [(t.coarse[figure], t.refined[figure]) for t in trials if t.refined is not None]
    if not pairs:
        return None
    before, after = zip(*pairs, strict=True)
    return paired_change(before, after, larger_is_better=larger_is_better(figure))


def kept_gain(trials: Sequence[Trial], full: Sequence[Trial]) -> RatioInterval | None:
    """Return what share of the full settings' gain in AbsRel is kept, over scenes that both have.

    None where the full settings gain nothing.
    """
    own, whole = ({(t.family, t.seed): _gain(t) for t in part} for part in (trials, full))
    both = [place for place in whole if place in own]
    kept, gained = ([part[place] for place in both] for part in (own, whole))
    if not both or sum(gained) <= 0:
        return None
    return bootstrap_ratio(kept, gained)


def mean_steps(trials: Sequence[Trial]) -> float:
    """Return how many steps a member took, the mean over scenes."""
    return float(np.mean([trial.num_steps for trial in trials]))


def _gain(trial: Trial) -> float:
    """Return by how much AbsRel fell; a refinement that failed keeps the coarse map."""
    return 0.0 if trial.refined is None else trial.coarse[GAIN] - trial.refined[GAIN]


def _figures(map_hw: FloatMap, scene: Scene) -> dict[str, float]:
    scores = asdict(score(map_hw, scene, np.ones_like(scene.mask_hw)))
    return {name: float(scores[name]) for name in FIGURES}


def _seconds(refiner: ReDepthAnythingRefiner, judged: RefinementInput) -> float:
    started = time.process_time()
    refiner.refine(judged)
    return time.process_time() - started
