"""Write small outputs in the present format, which the tests of all later versions read.

python scripts/write_stored_output.py tests/fixtures/stored_output_v3

FOLDER/disparity/     refined, fell back, rejected, and refined when tried again; an ensemble of two
FOLDER/metric/        metres with holes beyond a far limit
FOLDER/*.json         what the code that wrote an output reads from it: rows, maps, digests

To be run once a format version, when that is done; never over a folder that is committed.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from PIL import Image

from redepth.config import Recipe, load_recipe
from redepth.images.collection import list_images
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from redepth.types import Outcome

# In memory: a path of somebody's machine has no place in a repository.
PHOTOGRAPHS = "memory://photographs"
SIZES_HW = {"attic": (16, 24), "barn": (24, 16), "cellar": (24, 16)}
SMALLEST = "labels.coarse.size_px=28"
ENSEMBLE = ("labels.refiner.num_members=2", "labels.refiner.num_steps=3")
# One of the three photographs keeps the order of depth less well, and falls back.
RECIPES = {
    "disparity": ("mini", (SMALLEST, *ENSEMBLE, "labels.guard.min_rank_correlation=0.99935")),
    "metric": ("mini-metric", (SMALLEST, "labels.coarse.far_limit_m=4.5")),
}


def main() -> None:
    """Run the command line: one argument, the folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_stored_output.py FOLDER")
    folder = Path(sys.argv[1])
    if folder.exists():
        sys.exit(f"{folder} is there: a stored output is written once, and read from then on")
    for name, (preset, overrides) in RECIPES.items():
        write_output(str(folder / name), load_recipe(preset, overrides))
        said = json.dumps(what_is_read(str(folder / name)), indent=1)
        (folder / f"{name}.json").write_text(said + "\n", encoding="utf-8")


def write_output(out: str, recipe: Recipe) -> None:
    """Label four files, one of which is no photograph; a third becomes one when tried again."""
    labeller = load_labeller(recipe.labels)
    begin(out, recipe, labeller.cards)
    for seed, (name, size_hw) in enumerate(SIZES_HW.items()):
        put(f"{name}.png", photograph(seed, *size_hw))
    put("notes.png", b"not a photograph")
    put("cellar.png", photograph(2, *SIZES_HW["cellar"])[:80])
    label_all(labeller, out, recipe, frozenset())
    put("cellar.png", photograph(2, *SIZES_HW["cellar"]))
    label_all(labeller, out, recipe, frozenset({Outcome.REJECTED}))


def label_all(labeller: Labeller, out: str, recipe: Recipe, retry: frozenset[Outcome]) -> None:
    """Do all that a plan finds to do."""
    plan = plan_labels(list_images(PHOTOGRAPHS), out, recipe, retry)
    assert plan.manifest is not None, "there is something to do"
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, map(labeller.label, shard.images), recipe.labels.storage)


def photograph(seed: int, height_px: int, width_px: int) -> bytes:
    """Return a PNG of a slope with a box before it."""
    rows, columns = np.mgrid[:height_px, :width_px]
    shade = 60 + 120 * rows / height_px + 20 * np.sin(columns + seed)
    shade[height_px // 3 :, width_px // 4 : width_px // 2 + seed] = 230 - 40 * seed
    rgb_hw3 = (shade[..., None] * [1.0, 0.9, 0.7 + 0.1 * seed]).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb_hw3).save(file, format="PNG")
    return file.getvalue()


def put(name: str, content: bytes) -> None:
    """Put a file among the photographs."""
    with fsspec.open(f"{PHOTOGRAPHS}/{name}", "wb") as file:
        file.write(content)


def what_is_read(out: str) -> dict[str, Any]:
    """Return what the present code reads from an output: rows, maps and their digests."""
    labels = open_labels(out)
    found = verify_labels(out)
    assert found.problems == (), found.problems
    return {
        "content_digest": found.content_digest,
        "outcomes": {str(outcome): number for outcome, number in found.outcomes.items()},
        "quantities": [asdict(quantity) for quantity in labels.quantities.values()],
        "labels": {
            image_id: {
                "row": asdict(label.row),
                "maps": {name: map_said(label[name]) for name in label.quantities},
            }
            for image_id, label in labels.items()
        },
    }


def map_said(values: np.ndarray) -> dict[str, Any]:
    """Say what a map is: its type and shape, and a digest of its numbers."""
    content = np.ascontiguousarray(values).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"dtype": values.dtype.name, "shape": list(values.shape), "sha256": digest}


if __name__ == "__main__":
    main()
