"""What `betterdepth-mini` is trained on and how, and the rows of its ablation."""

from __future__ import annotations

from dataclasses import replace

from redepth.refiners.betterdepth.target import Target, TargetKind
from redepth.training.betterdepth import BetterDepthTraining, Source
from redepth.training.coarse_errors import CoarseErrors
from redepth.training.draws import Draws
from redepth.training.example_pairs import Pairing
from redepth.training.scene_examples import ExampleBatch, SceneExamples, draw_examples

# Of each kind of scene some families are never shown: cloth, leaves, wires.
_RELIEFS = ("lumps", "gaussians", "saddles", "swells", "pebbles", "faces", "coins", "dunes")
_OBJECTS = ("solids", "fences", "plants")
SHARES = dict.fromkeys(_RELIEFS, 0.6 / len(_RELIEFS)) | dict.fromkeys(_OBJECTS, 0.4 / len(_OBJECTS))
NUM_SCENES = dict.fromkeys(_RELIEFS, 2500) | dict.fromkeys(_OBJECTS, 1500)
# Its kind decides only what the VAE's latents are scaled by.
MAPS = Target(kind=TargetKind.RESIDUAL, clip=1.5, residual_scale=0.4, residual_clip=2.5)
DEFAULT_DENOISING_STEPS = 2
MINI = BetterDepthTraining(
    num_steps=2872,
    batch_size=64,
    learning_rate=5e-4,
    ema_decay=0.999,
    pairing=Pairing(coarse_frame=True, patch_threshold=0.25),
    target=MAPS.model_copy(update={"kind": TargetKind.DEPTH}),
    errors=CoarseErrors(),
)
_RESIDUAL = replace(MINI, target=MAPS)
_FREE = replace(MINI.pairing, patch_mask=False)
# What is trained, and the rows of its ablation (docs/betterdepth.md).
VARIANTS = {
    "full": MINI,
    "no-conditioning": replace(MINI, conditioned=False, pairing=replace(_FREE, pre_align=False)),
    "strict-mask": replace(MINI, pairing=replace(MINI.pairing, patch_threshold=0.1)),
    "residual": _RESIDUAL,
    "residual-no-patch-mask": replace(_RESIDUAL, pairing=_FREE),
    "residual-no-pre-alignment": replace(_RESIDUAL, pairing=replace(_FREE, pre_align=False)),
}


def scene_source(examples: SceneExamples) -> Source:
    """Return what draws batches of scenes."""

    def draw(count: int, draws: Draws) -> ExampleBatch:
        return draw_examples(examples, SHARES, count, draws)

    return draw
