"""What the cards of a SharpDepth, and of the small models beside it, say."""

from __future__ import annotations

from redepth.training.engine.cards import CardText

_COMMAND = "redepth train sharpdepth"
_PAGE = "docs/sharpdepth.md"

METRIC = CardText(
    "mini-metric",
    "transformers",
    "Depth Anything V2's classes (DINOv2 and DPT) at 1.1 million parameters, "
    "patch 8, 64 px, for metric depth: z in metres, at most 10. It has seen solids, "
    "fences and plants before a wall, by cameras 0.9 to 1.4 m above the floor that "
    "see 42 to 56 degrees; no wires.",
    "A toy for tests and experiments. It has never seen a photograph: on one its metres mean "
    "nothing.",
    command=_COMMAND,
    page=_PAGE,
)

TEACHER = CardText(
    "sharpdepth-mini's teacher",
    "diffusers",
    "Lotus-G's kind of model at 5.6 million parameters: a UNet2DConditionModel of 32 input "
    "channels (picture, noise; 16 each) with a task embedding, begun as betterdepth-mini, that "
    "gives depth in one step from the last timestep; 64 px. Trained on exact depth of solids, "
    "fences and plants.",
    "A toy for tests and experiments. It has never seen a photograph.",
    command=_COMMAND,
    page=_PAGE,
)

MINI = CardText(
    "sharpdepth-mini",
    "diffusers",
    "SharpDepth's student at 5.6 million parameters, trained from its teacher "
    "(Lotus-G's kind of model at this size) on the maps of mini-metric for solids, "
    "fences and plants, without any truth; 64 px.",
    "A toy for tests and experiments. It has never seen a photograph.",
    command=_COMMAND,
    page=_PAGE,
)

STUDENT = CardText(
    "sharpdepth",
    "diffusers",
    "A SharpDepth refiner, trained on labelled pictures of one's own: vae/, unet/, "
    "text_encoder/, tokenizer/ and scheduler/ as diffusers lays them out.",
    "Not measured yet: redepth evaluate says what it does on data with metric depth.",
    command=_COMMAND,
    page=_PAGE,
    seen="trained on",
    license="other",
    licence="to be stated: that of the teacher's weights and of the pictures",
)
