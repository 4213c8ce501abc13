"""The bench: the models, loaded once, and one scene after the other measured under conditions.

A control is the product's own refiner with one thing exchanged: its settings, its prior, or the
caption or picture it is given. The refiner knows nothing of it.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from redepth.coarse.estimator import load_token_estimator
from redepth.config import LabelSettings
from redepth.errors import ConfigError, RefinementFailed
from redepth.lab.experiments import Condition, Subject
from redepth.lab.measurement import Measurement, PixelCues, pixel_cues
from redepth.lab.scoring import align, regions_of, score
from redepth.labelling.ensemble import reduce_members
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.families import FAMILIES, render_batch, render_scene
from redepth.scenes.scene import Array, Scene, Split
from redepth.settings import Weights
from redepth.types import CoarseDepth, DepthKind, FloatMap, ModelCard, RefinedDepth

CPU = torch.device("cpu")
UNTRAINED_SEED = 0
OTHER_IMAGE = 100_000  # added to a seed: a scene of the same split that is not measured itself
NUM_MEAN_SCENES = 32

Maps = dict[Condition, FloatMap | Array]


class Bench:
    """Measure scenes with the models of a recipe.

    A measurement is a function of the subject and the settings alone.
    """

    def __init__(self, settings: LabelSettings) -> None:
        """Load the recipe's models and, for the control, the untrained prior.

        Raises:
            ConfigError: the recipe's refiner is not Re-Depth Anything, its coarse model gives no
                disparity, or weights cannot be had.
        """
        if not isinstance(settings.refiner, ReDepthAnything):
            raise ConfigError("the lab measures recipes with refiner.method: redepth_anything")
        torch.set_num_threads(settings.compute.num_threads)
        self._settings, self._method = settings, settings.refiner
        self._estimator = load_token_estimator(settings.coarse, CPU)
        if self._estimator.kind is not DepthKind.AFFINE_DISPARITY:
            raise ConfigError(f"the lab aligns disparity, the recipe gives {self._estimator.kind}")
        self._prior = load_prior(self._method.prior, settings.compute, CPU)
        seeded = self._method.prior.model_copy(update={"weights": Weights(seed=UNTRAINED_SEED)})
        self._untrained = load_prior(seeded, settings.compute, CPU)
        self._means: dict[str, Array] = {}
        size_px = settings.coarse.size_px
        self.size_px, _ = self._estimator.processing_size(size_px, size_px)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The models that are measured."""
        return (self._estimator.card, *self._prior.cards)

    def measure(self, subject: Subject) -> Measurement:
        """Render a scene, refine it under its conditions, and score every map."""
        started = time.perf_counter()
        scene = render_scene(subject.family, subject.seed, self.size_px, subject.split)
        coarse = self._estimator.estimate(scene.rgb_hw3)
        maps: Maps = {}
        pixels = None
        if Condition.ENSEMBLE in subject.conditions:
            maps, pixels = self._ensemble(scene, coarse, subject.num_members)
        for condition in subject.conditions:
            if condition not in maps and condition is not Condition.ENSEMBLE:
                maps |= self._map(condition, scene, coarse)
        regions = regions_of(scene)
        return Measurement(
            subject=subject,
            caption=scene.caption,
            scores={
                c: {r: score(m, scene, mask) for r, mask in regions.items()}
                for c, m in maps.items()
            },
            depths={
                c: _depth(maps[c], scene) for c in (Condition.COARSE, Condition.FULL) if c in maps
            },
            pixels=pixels,
            seconds=time.perf_counter() - started,
        )

    def _ensemble(
        self, scene: Scene, coarse: CoarseDepth, num_members: int
    ) -> tuple[Maps, PixelCues | None]:
        """Return the first member, the reduced map and its cues; nothing if none came through."""
        refiner = self._refiner({"num_members": num_members}, self._prior)
        try:
            members = refiner.refine(_judged(scene, coarse))
        except RefinementFailed:
            return {}, None
        refined = reduce_members(members, coarse.map_hw, self._settings.ensemble)
        maps: Maps = {Condition.FULL: members.maps_ehw[0], Condition.ENSEMBLE: refined.map_hw}
        return maps, _cues(refined, coarse, scene)

    def _map(self, condition: Condition, scene: Scene, coarse: CoarseDepth) -> Maps:
        """Return the map of a condition by its name; nothing where no member came through."""
        if condition is Condition.COARSE:
            return {condition: coarse.map_hw}
        if condition is Condition.FAMILY_MEAN:
            return {condition: self._family_mean(scene.family)}
        changes = {"score_weight": 0.0} if condition is Condition.SMOOTHNESS_ONLY else {}
        untrained = condition is Condition.UNTRAINED_PRIOR
        refiner = self._refiner(
            {"num_members": 1, **changes}, self._untrained if untrained else self._prior
        )
        judged = _judged(scene, coarse)
        if condition is Condition.WRONG_CAPTION:
            judged = replace(judged, caption=wrong_caption(scene))
        elif condition is Condition.OTHER_IMAGE:
            judged = replace(judged, rgb_hw3=other_image(scene).rgb_hw3)
        try:
            return {condition: refiner.refine(judged).maps_ehw[0]}
        except RefinementFailed:
            return {}

    def _refiner(self, changes: dict[str, object], prior: DiffusionPrior) -> ReDepthAnythingRefiner:
        method = self._method.model_copy(update=changes)
        return ReDepthAnythingRefiner(
            method, self._settings.seed, self._estimator, prior, None, CPU
        )

    def _family_mean(self, family: str) -> Array:
        """Return the mean disparity of tuning scenes of a family, made once."""
        if family not in self._means:
            scenes = render_batch(family, range(NUM_MEAN_SCENES), self.size_px, Split.TUNING)
            self._means[family] = np.mean([1.0 / scene.depth_hw for scene in scenes], axis=0)
        return self._means[family]


def wrong_caption(scene: Scene) -> str:
    """Name the thing as the scene of the next family of the kind does, the light as it is."""
    kind = FAMILIES[scene.family].kind
    names = [name for name, family in FAMILIES.items() if family.kind is kind]
    other = names[(names.index(scene.family) + 1) % len(names)]
    size_px = len(scene.rgb_hw3)
    words = render_scene(other, scene.seed, size_px, scene.split).caption.rpartition(", ")[0]
    return f"{words}, {scene.caption.rpartition(', ')[2]}"


def other_image(scene: Scene) -> Scene:
    """Return another scene of the family, one that no experiment measures."""
    seed = scene.seed + OTHER_IMAGE
    return render_scene(scene.family, seed, len(scene.rgb_hw3), scene.split)


def _judged(scene: Scene, coarse: CoarseDepth) -> RefinementInput:
    return RefinementInput(scene.id, scene.rgb_hw3, coarse, scene.caption)


def _depth(disparity_hw: FloatMap | Array, scene: Scene) -> FloatMap:
    return align(disparity_hw, scene, np.ones_like(scene.mask_hw)).astype(np.float32)


def _cues(refined: RefinedDepth, coarse: CoarseDepth, scene: Scene) -> PixelCues:
    depth_hw = align(refined.map_hw, scene, np.ones_like(scene.mask_hw))
    return pixel_cues(refined, coarse.map_hw, depth_hw, scene.depth_hw)
