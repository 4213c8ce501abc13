"""The model card beside trained weights: what was trained on what, for how long, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_CARD = """\
---
license: {license}
library_name: {library}
---
# redepth {title}

{what}

| | |
|---|---|
| seed | {seed} |
| {seen} | {scenes} |
{stages}| size | {megabytes:.1f} MB, float16 safetensors |
| licence | {licence} |

Made by `{command}`; how, and what it measures: {page}.

## Limits

{limits}
"""


@dataclass(frozen=True, slots=True)
class _Words:
    """What a card says that does not depend on the run."""

    title: str
    library: str
    what: str
    limits: str
    command: str = "redepth train mini"
    page: str = "docs/lab.md"
    seen: str = "scenes (training split)"
    license: str = "apache-2.0"
    licence: str = "Apache-2.0; trained on rendered scenes alone"


_SHARPENER = "redepth train sharpdepth"
_SHARPENER_PAGE = "docs/sharpdepth.md"
_REFINER = "redepth train betterdepth"
_REFINER_PAGE = "docs/betterdepth.md"
_WORDS = {
    "depth": _Words(
        "mini depth",
        "transformers",
        "Depth Anything V2's classes (DINOv2 and DPT) at 1.1 million parameters, "
        "patch 8, 64 px, for relative depth. Output: affine-invariant disparity, 4 "
        "(1 / z - 1 / 2) + 0.6 for a relief at depth z, so that 4 / (raw + 1.4) is "
        "z. It has seen lumps, bells, saddles, waves and pebbles under light from "
        "above, and balls and boxes on a floor; no face, coin, dune, cloth or leaf.",
        "A toy for tests and experiments. It has never seen a photograph: on one it "
        "follows shading and little else.",
    ),
    "prior": _Words(
        "mini prior",
        "diffusers",
        "Stable Diffusion's classes (AutoencoderKL, UNet2DConditionModel, "
        "CLIPTextModel) at 6.5 million parameters, 64 px, latents 16 x 16 x 16, "
        "v-prediction. It has seen every family of rendered scenes, plain (22 %) "
        "and re-lit as the refiner does it, with true (45 %) and with wrong shapes "
        '(33 %, told apart by the word "bad" in front of the caption); 17 % of the '
        "prompts were empty. Four in five timesteps were below 0.62 T, where score "
        "distillation asks: it judges pictures and was not made to draw them.",
        "A toy for tests and experiments. Its vocabulary is that of the scenes' "
        "captions; any other word is spelt and means nothing. It has never seen a "
        "photograph.",
    ),
    "mini-dpt": _Words(
        "mini-dpt",
        "transformers",
        "transformers' DPT at 0.8 million parameters, patch 8, 64 px, for relative "
        "depth. Output: affine-invariant disparity, as of the mini depth network, "
        "whose families it has seen with their lights on any side. It is there to "
        "ask whether a refiner helps a coarse model that it was not trained with.",
        "A toy for tests and experiments. It has never seen a photograph.",
        command="redepth.training.mini_dpt",
        page=_REFINER_PAGE,
    ),
    "mini-metric": _Words(
        "mini-metric",
        "transformers",
        "Depth Anything V2's classes (DINOv2 and DPT) at 1.1 million parameters, "
        "patch 8, 64 px, for metric depth: z in metres, at most 10. It has seen solids, "
        "fences and plants before a wall, by cameras 0.9 to 1.4 m above the floor that "
        "see 42 to 56 degrees; no wires.",
        "A toy for tests and experiments. It has never seen a photograph: on one its metres mean "
        "nothing.",
        command=_SHARPENER,
        page=_SHARPENER_PAGE,
    ),
    "sharpdepth-teacher": _Words(
        "sharpdepth-mini's teacher",
        "diffusers",
        "Lotus-G's kind of model at 5.6 million parameters: a UNet2DConditionModel of 32 input "
        "channels (picture, noise; 16 each) with a task embedding, begun as betterdepth-mini, that "
        "gives depth in one step from the last timestep; 64 px. Trained on exact depth of solids, "
        "fences and plants.",
        "A toy for tests and experiments. It has never seen a photograph.",
        command=_SHARPENER,
        page=_SHARPENER_PAGE,
    ),
    "sharpdepth-mini": _Words(
        "sharpdepth-mini",
        "diffusers",
        "SharpDepth's student at 5.6 million parameters, trained from its teacher "
        "(Lotus-G's kind of model at this size) on the maps of mini-metric for solids, "
        "fences and plants, without any truth; 64 px.",
        "A toy for tests and experiments. It has never seen a photograph.",
        command=_SHARPENER,
        page=_SHARPENER_PAGE,
    ),
    "sharpdepth": _Words(
        "sharpdepth",
        "diffusers",
        "A SharpDepth refiner, trained on labelled pictures of one's own: vae/, unet/, "
        "text_encoder/, tokenizer/ and scheduler/ as diffusers lays them out.",
        "Not measured yet: redepth evaluate says what it does on data with metric depth.",
        command=_SHARPENER,
        page=_SHARPENER_PAGE,
        seen="trained on",
        license="other",
        licence="to be stated: that of the teacher's weights and of the pictures",
    ),
    "betterdepth-mini": _Words(
        "betterdepth-mini",
        "diffusers",
        "BetterDepth's refiner at 5.6 million parameters: a UNet2DConditionModel of "
        "48 input channels (picture, coarse map, noise; 16 each), begun as the mini "
        "prior, and the prior's VAE taught depth maps; 64 px, v-prediction, zero "
        "terminal SNR. It has seen lumps, gaussians, saddles, swells, pebbles, "
        "faces, coins, dunes, solids, fences and plants; no cloth, leaf or wire. "
        "Half of its coarse maps were the mini depth network's, half the truth made "
        "worse.",
        "A toy for tests and experiments. It has never seen a photograph. Most of "
        "what it gains it gains without looking at the picture: it knows how such "
        "coarse maps err.",
        command=_REFINER,
        page=_REFINER_PAGE,
    ),
    "betterdepth": _Words(
        "betterdepth",
        "diffusers",
        "A BetterDepth refiner, trained on a data set of one's own: vae/, unet/, "
        "text_encoder/, tokenizer/ and scheduler/ as diffusers lays them out, and "
        "model_index.json with what its latents stand for.",
        "Not measured yet: redepth evaluate says what it does on data with depth.",
        command=_REFINER,
        page=_REFINER_PAGE,
        seen="trained on",
        license="other",
        licence="to be stated: that of the first weights and of the data",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A model that was trained and written.

    Attributes:
        name: a key of what cards say: "depth", "betterdepth-mini", ...
        folder: that holds it.
        scenes: how many of each family were rendered, or pictures of a data set.
        losses: of every step, by stage.
    """

    name: str
    folder: Path
    seed: int
    scenes: Mapping[str, int]
    losses: Mapping[str, Sequence[float]]


def write_card(model: TrainedModel) -> TrainedModel:
    """Write README.md into the model's folder; return the model."""
    words = _WORDS[model.name]
    card = _CARD.format(
        **asdict(words),
        seed=model.seed,
        scenes=", ".join(f"{count} {family}" for family, count in model.scenes.items()),
        stages="".join(_stage_row(name, losses) for name, losses in model.losses.items()),
        megabytes=sum(f.stat().st_size for f in model.folder.rglob("*.safetensors")) / 1e6,
    )
    (model.folder / "README.md").write_text(card, encoding="utf-8")
    return model


def _stage_row(name: str, losses: Sequence[float]) -> str:
    tail = losses[-50:]
    return f"| {name} | {len(losses)} steps, loss {sum(tail) / len(tail):.4f} at the end |\n"
