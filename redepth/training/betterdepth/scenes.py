"""The rendered scenes that `betterdepth-mini` is trained on."""

from __future__ import annotations

from redepth.refiners.betterdepth.target import Target, TargetKind
from redepth.training.betterdepth.loss import Source
from redepth.training.draws import Draws
from redepth.training.examples.scene_examples import ExampleBatch, SceneExamples, draw_examples

# Of each kind of scene some families are never shown: cloth, leaves, wires.
_RELIEFS = ("lumps", "gaussians", "saddles", "swells", "pebbles", "faces", "coins", "dunes")
_OBJECTS = ("solids", "fences", "plants")
SHARES = dict.fromkeys(_RELIEFS, 0.6 / len(_RELIEFS)) | dict.fromkeys(_OBJECTS, 0.4 / len(_OBJECTS))
NUM_SCENES = dict.fromkeys(_RELIEFS, 2500) | dict.fromkeys(_OBJECTS, 1500)
# Its kind decides only what the VAE's latents are scaled by.
MAPS = Target(kind=TargetKind.RESIDUAL, clip=1.5, residual_scale=0.4, residual_clip=2.5)


def scene_source(examples: SceneExamples) -> Source:
    """Return what draws batches of scenes."""

    def draw(count: int, draws: Draws) -> ExampleBatch:
        return draw_examples(examples, SHARES, count, draws)

    return draw
