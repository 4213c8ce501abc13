"""What the cards of the small models say."""

from __future__ import annotations

from redepth.training.engine.cards import CardText

_PAGE = "docs/mini-models.md"

DEPTH = CardText(
    "mini depth",
    "transformers",
    "Depth Anything V2's classes (DINOv2 and DPT) at 1.1 million parameters, "
    "patch 8, 64 px, for relative depth. Output: affine-invariant disparity, 4 "
    "(1 / z - 1 / 2) + 0.6 for a relief at depth z, so that 4 / (raw + 1.4) is "
    "z. It has seen lumps, bells, saddles, waves and pebbles under light from "
    "above, and balls and boxes on a floor; no face, coin, dune, cloth or leaf.",
    "A toy for tests and experiments. It has never seen a photograph: on one it "
    "follows shading and little else.",
    command="redepth train mini",
    page=_PAGE,
)

PRIOR = CardText(
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
    "captions; any other word is spelt and has no meaning. It has never seen a "
    "photograph.",
    command="redepth train mini",
    page=_PAGE,
)

DPT = CardText(
    "mini-dpt",
    "transformers",
    "transformers' DPT at 0.8 million parameters, patch 8, 64 px, for relative "
    "depth. Output: affine-invariant disparity, as of the mini depth network, "
    "whose families it has seen with their lights on any side. It is there to "
    "ask whether a refiner helps a coarse model that it was not trained with.",
    "A toy for tests and experiments. It has never seen a photograph.",
    command="redepth train mini --config mini-dpt",
    page="docs/results/betterdepth.md",
)

ENCODER = CardText(
    "mini tiny encoder",
    "diffusers",
    "The encoder of diffusers' AutoencoderTiny at 46 thousand parameters, 64 px, "
    "latents 16 x 16 x 16. It stands in for the encoder of the mini prior's VAE: it "
    "gives the scaled mean of its posterior, and was trained on that and on its "
    "vector-Jacobian products, over plain and re-lit pictures of every family of "
    "rendered scenes.",
    "A toy for tests and experiments. It encodes for the mini prior alone and has no "
    "decoder. It has never seen a photograph.",
    command="redepth train mini --config mini-encoder",
    page=_PAGE,
)

PHOTO = CardText(
    "mini-photo",
    "pytorch",
    "A pyramid of depthwise convolutions with attention at its top, 0.7 million parameters, about "
    "192 px, for relative depth. Output: affine-invariant disparity. It has seen rendered rooms, "
    "desks, corridors, streets, open country, portraits, table tops and close views; their "
    "surfaces wear procedural tiles and pictures that scikit-image carries and states as CC0 or "
    "public domain (brick, grass, gravel, camera, cell, immunohistochemistry, hubble_deep_field, "
    "clock_motion).",
    "For demos and tests: it gives the layout of a photograph, and no fine shape. Its training saw "
    "no photograph but for those tiles.",
    command="redepth train mini --config mini-photo",
    page="docs/results/mini-photo.md",
    licence="Apache-2.0; trained on rendered scenes with CC0 and public domain tiles",
)
