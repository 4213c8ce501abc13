"""Models known by name: where their weights are, at which revision, under which licence.

A preset is a default, not a gate: a recipe may name any repository and revision, or a folder.
Revisions are commits of the hub's repositories; the digest of what was really loaded is written
into every output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from redepth.types import DepthKind


@dataclass(frozen=True, slots=True)
class HubWeights:
    """A repository on the Hugging Face hub, pinned, with the licence its authors state."""

    repo: str
    revision: str
    licence: str
    non_commercial: bool = False


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A folder that comes with redepth, relative to the package; trained here (docs/lab.md).

    Attributes:
        variant: of the files, as in model.fp16.safetensors.
    """

    folder: str
    variant: str
    licence: str
    non_commercial: bool = False


PresetWeights = HubWeights | PackagedWeights


class Architecture(StrEnum):
    """Which classes read a coarse model; only DEPTH_ANYTHING has the tokens that re-lighting moves.

    METRIC_DEPTH_ANYTHING is the same network with a head for metres. MARIGOLD: diffusers. UNIDEPTH:
    its authors' own package. All others: transformers.
    """

    DEPTH_ANYTHING = "depth_anything"
    DPT = "dpt"
    MARIGOLD = "marigold"
    METRIC_DEPTH_ANYTHING = "metric_depth_anything"
    DEPTH_PRO = "depth_pro"
    ZOEDEPTH = "zoedepth"
    UNIDEPTH = "unidepth"


@dataclass(frozen=True, slots=True)
class CoarsePreset:
    """A monocular depth model.

    Attributes:
        weights: where they are.
        kind: what its output means.
        render_scale: s in the render depth z = (s + tanh o) / (raw + m); fits the model's range.
            Read for Depth Anything alone.
        render_margin: m in the same formula.
        architecture: what reads it.
        far_limit_m: depth from which on a metric model says nothing (docs/metric-depth.md); None
            for other kinds, and where the checkpoint itself says how far it was trained.
    """

    weights: PresetWeights
    kind: DepthKind
    render_scale: float = 1.0
    render_margin: float = 0.0
    architecture: Architecture = Architecture.DEPTH_ANYTHING
    far_limit_m: float | None = None


@dataclass(frozen=True, slots=True)
class PriorPreset:
    """A latent diffusion model whose VAE encoder, UNet and text encoder judge a picture."""

    weights: PresetWeights
    size_px: int


@dataclass(frozen=True, slots=True)
class RefinerPreset:
    """A trained refiner.

    Attributes:
        weights: where they are; None where nobody has published any.
    """

    weights: PresetWeights | None


@dataclass(frozen=True, slots=True)
class CaptionerPreset:
    """An image-to-text model; `task` is the prompt some of them need."""

    weights: HubWeights
    task: str | None = None


def _depth_anything(size: str, revision: str, non_commercial: bool) -> CoarsePreset:
    licence = "CC-BY-NC-4.0" if non_commercial else "Apache-2.0"
    repo = f"depth-anything/Depth-Anything-V2-{size}-hf"
    weights = HubWeights(repo, revision, licence, non_commercial)
    return CoarsePreset(weights, DepthKind.AFFINE_DISPARITY, render_scale=7.0, render_margin=0.1)


def _metric_depth_anything(place: str, size: str) -> CoarsePreset:
    non_commercial = size != "Small"
    licence = "CC-BY-NC-4.0" if non_commercial else "Apache-2.0"
    repo = f"depth-anything/Depth-Anything-V2-Metric-{place}-{size}-hf"
    weights = HubWeights(repo, UNVERIFIED, licence, non_commercial)
    return CoarsePreset(
        weights, DepthKind.METRIC_DEPTH, architecture=Architecture.METRIC_DEPTH_ANYTHING
    )


# Where no commit of a repository could be verified when its preset was written: the branch is
# resolved when the weights are fetched, and dataset.json records the commit and the digest.
UNVERIFIED = "main"
# What a model without an end of its own says from here on is taken for "far", as of the sky.
OPEN_END_M = 1000.0

COARSE: dict[str, CoarsePreset] = {
    "depth-anything-v2-small": _depth_anything(
        "Small", "5426e4f0f36572d16453bbda7a8389317b1bef99", non_commercial=False
    ),
    "depth-anything-v2-base": _depth_anything(
        "Base", "b1958afc87fb45a9e3746cb387596094de553ed8", non_commercial=True
    ),
    "depth-anything-v2-large": _depth_anything(
        "Large", "7581137eff8d4e94f6e796d3baea0e9fa79b22d2", non_commercial=True
    ),
    # The target it was trained on is 4 (1 / z - 1 / 2) + 0.6, so 4 / (raw + 1.4) is z.
    "mini": CoarsePreset(
        PackagedWeights("models/mini/depth", "fp16", "Apache-2.0"),
        DepthKind.AFFINE_DISPARITY,
        render_scale=4.0,
        render_margin=1.4,
    ),
    "dpt-large": CoarsePreset(
        HubWeights("Intel/dpt-large", UNVERIFIED, "Apache-2.0"),
        DepthKind.AFFINE_DISPARITY,
        architecture=Architecture.DPT,
    ),
    "dpt-hybrid-midas": CoarsePreset(
        HubWeights("Intel/dpt-hybrid-midas", UNVERIFIED, "Apache-2.0"),
        DepthKind.AFFINE_DISPARITY,
        architecture=Architecture.DPT,
    ),
    "marigold": CoarsePreset(
        HubWeights("prs-eth/marigold-depth-v1-1", UNVERIFIED, "OpenRAIL++-M"),
        DepthKind.AFFINE_DEPTH,
        architecture=Architecture.MARIGOLD,
    ),
    "mini-dpt": CoarsePreset(
        PackagedWeights("models/mini/dpt", "fp16", "Apache-2.0"),
        DepthKind.AFFINE_DISPARITY,
        architecture=Architecture.DPT,
    ),
    **{
        f"depth-anything-v2-metric-{place.lower()}-{size.lower()}": _metric_depth_anything(
            place, size
        )
        for place in ("Indoor", "Outdoor")
        for size in ("Small", "Base", "Large")
    },
    "mini-metric": CoarsePreset(
        PackagedWeights("models/mini/metric", "fp16", "Apache-2.0"),
        DepthKind.METRIC_DEPTH,
        architecture=Architecture.METRIC_DEPTH_ANYTHING,
    ),
    "depth-pro": CoarsePreset(
        HubWeights("apple/DepthPro-hf", UNVERIFIED, "Apple-AMLR", non_commercial=True),
        DepthKind.METRIC_DEPTH,
        architecture=Architecture.DEPTH_PRO,
        far_limit_m=OPEN_END_M,
    ),
    "zoedepth": CoarsePreset(
        HubWeights("Intel/zoedepth-nyu-kitti", UNVERIFIED, "MIT"),
        DepthKind.METRIC_DEPTH,
        architecture=Architecture.ZOEDEPTH,
    ),
    "unidepth-v2-large": CoarsePreset(
        HubWeights(
            "lpiccinelli/unidepth-v2-vitl14", UNVERIFIED, "CC-BY-NC-4.0", non_commercial=True
        ),
        DepthKind.METRIC_DEPTH,
        architecture=Architecture.UNIDEPTH,
        far_limit_m=OPEN_END_M,
    ),
}

PRIORS: dict[str, PriorPreset] = {
    "stable-diffusion-v1-5": PriorPreset(
        HubWeights(
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            "CreativeML-OpenRAIL-M",
        ),
        size_px=512,
    ),
    "mini": PriorPreset(PackagedWeights("models/mini/prior", "fp16", "Apache-2.0"), size_px=64),
}

REFINERS: dict[str, RefinerPreset] = {
    "betterdepth": RefinerPreset(None),
    "betterdepth-mini": RefinerPreset(
        PackagedWeights("models/mini/betterdepth", "fp16", "Apache-2.0")
    ),
    # Its commit could not be verified when this was written: see the coarse models above.
    "lotus-g": RefinerPreset(HubWeights("jingheya/lotus-depth-g-v1-0", "main", "Apache-2.0")),
    "sharpdepth": RefinerPreset(None),
    "sharpdepth-mini": RefinerPreset(
        PackagedWeights("models/mini/sharpdepth", "fp16", "Apache-2.0")
    ),
}

CAPTIONERS: dict[str, CaptionerPreset] = {
    "blip": CaptionerPreset(
        HubWeights(
            "Salesforce/blip-image-captioning-base",
            "82a37760796d32b1411fe092ab5d4e227313294b",
            "BSD-3-Clause",
        )
    ),
    "blip-2": CaptionerPreset(HubWeights("Salesforce/blip2-opt-2.7b", UNVERIFIED, "MIT")),
    "florence-2": CaptionerPreset(
        HubWeights("florence-community/Florence-2-base", UNVERIFIED, "MIT"), task="<CAPTION>"
    ),
}
