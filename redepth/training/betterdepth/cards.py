"""What the cards of a BetterDepth say."""

from __future__ import annotations

from redepth.training.engine.cards import CardText

_COMMAND = "redepth train betterdepth"
_PAGE = "docs/betterdepth.md"

MINI = CardText(
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
    command=_COMMAND,
    page=_PAGE,
)

REFINER = CardText(
    "betterdepth",
    "diffusers",
    "A BetterDepth refiner, trained on a data set of one's own: vae/, unet/, "
    "text_encoder/, tokenizer/ and scheduler/ as diffusers lays them out, and "
    "model_index.json with what its latents stand for.",
    "Not measured yet: redepth evaluate says what it does on data with depth.",
    command=_COMMAND,
    page=_PAGE,
    seen="trained on",
    license="other",
    licence="to be stated: that of the first weights and of the data",
)
