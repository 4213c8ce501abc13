"""What a recipe's weights ask of a machine: what is fetched, and what a GPU must hold."""

from __future__ import annotations

from redepth.config import Recipe
from redepth.refiners import refiners
from redepth.settings import ModelUse

_FLOAT16, _FLOAT32 = 2, 4  # bytes


def download_words(recipe: Recipe) -> str:
    """Say what the hub is asked for, and how large it is."""
    fetched = [model for model in recipe.labels.models() if model.is_fetched]
    if not fetched:
        return "none: no weights come from the hub"
    sizes = ", ".join(f"{model.name} {size_words(model)}" for model in fetched)
    return f"{sizes}; from the hub, once a machine"


def gpu_memory_words(recipe: Recipe) -> str:
    """Say what a GPU must hold, and where that figure comes from."""
    if not recipe.run.actors.num_gpus and recipe.labels.compute.device == "cpu":
        return "none: runs on CPUs"
    labels = recipe.labels
    measured = refiners[labels.refiner.method].gpu_memory(labels.refiner)
    if measured is not None:
        return measured
    counts = [model.counted for model in labels.models()]
    known = [weights.num_parameters or 0 for weights in counts if weights is not None]
    if len(known) < len(counts):
        return "not measured"
    return f"not measured; the weights take {sum(known) * _FLOAT32 / 1e9:.1f} GB of it at most"


def size_words(model: ModelUse) -> str:
    """Say how large the files of a model are; a variant of 16 bits is half the size."""
    weights = model.counted
    if weights is None:
        return "of unknown size"
    is_half = "16" in (model.own.variant or "")
    width = _FLOAT16 if is_half else weights.parameter_bytes
    return f"{(weights.num_parameters or 0) * width / 1e9:.2f} GB"
