"""The model card beside trained weights: what was trained on what, for how long, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CARD = """\
---
license: apache-2.0
library_name: {library}
---
# redepth mini {name}

{what}

| | |
|---|---|
| seed | {seed} |
| scenes (training split) | {scenes} |
{stages}| size | {megabytes:.1f} MB, float16 safetensors |
| licence | Apache-2.0; trained on rendered scenes alone |

Made by `redepth train mini`; how, and what it measures: docs/lab.md.

## Limits

{limits}
"""
_WHAT = {
    "depth": (
        "transformers",
        "Depth Anything V2's classes (DINOv2 and DPT) at 1.1 million parameters, patch 8, 64 px, "
        "for relative depth. Output: affine-invariant disparity, 4 (1 / z - 1 / 2) + 0.6 for a "
        "relief at depth z, so that 4 / (raw + 1.4) is z. It has seen lumps, bells, saddles, "
        "waves and pebbles under light from above, and balls and boxes on a floor; no face, coin, "
        "dune, cloth or leaf.",
        "A toy for tests and experiments. It has never seen a photograph: on one it follows "
        "shading and little else.",
    ),
    "prior": (
        "diffusers",
        "Stable Diffusion's classes (AutoencoderKL, UNet2DConditionModel, CLIPTextModel) at 6.5 "
        "million parameters, 64 px, latents 16 x 16 x 16, v-prediction. It has seen every family "
        "of rendered scenes, plain (22 %) and re-lit as the refiner does it, with true (45 %) and "
        'with wrong shapes (33 %, told apart by the word "bad" in front of the caption); 17 % of '
        "the prompts were empty. Four in five timesteps were below 0.62 T, where score "
        "distillation asks: it judges pictures and was not made to draw them.",
        "A toy for tests and experiments. Its vocabulary is that of the scenes' captions; any "
        "other word is spelt and means nothing. It has never seen a photograph.",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model that was trained and written.

    Attributes:
        name: "depth" or "prior".
        folder: that holds it.
        scenes: how many of each family were rendered.
        losses: of every step, by stage.
    """

    name: str
    folder: Path
    seed: int
    scenes: Mapping[str, int]
    losses: Mapping[str, Sequence[float]]


def write_card(model: TrainedModel) -> TrainedModel:
    """Write README.md into the model's folder; return the model."""
    library, what, limits = _WHAT[model.name]
    card = _CARD.format(
        library=library,
        name=model.name,
        what=what,
        seed=model.seed,
        scenes=", ".join(f"{count} {family}" for family, count in model.scenes.items()),
        stages="".join(_stage_row(name, losses) for name, losses in model.losses.items()),
        megabytes=sum(f.stat().st_size for f in model.folder.rglob("*.safetensors")) / 1e6,
        limits=limits,
    )
    (model.folder / "README.md").write_text(card, encoding="utf-8")
    return model


def _stage_row(name: str, losses: Sequence[float]) -> str:
    tail = losses[-50:]
    return f"| {name} | {len(losses)} steps, loss {sum(tail) / len(tail):.4f} at the end |\n"
