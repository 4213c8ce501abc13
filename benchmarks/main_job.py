"""Milliseconds an image from file to committed label, against a bare loop of the same work.

Run `python -m benchmarks.main_job`; it prints a Markdown table in some minutes.

Identity refiner at 518 px, over a coarse model of the real architecture made so small that what is
around it shows. The bare loop is one process that reads, decodes, estimates and writes
the same arrays shard by shard, with no Ray and no Prefect. What is reported is the slope between
two sizes of the same run, so that start-up (Prefect, Ray, models) does not count.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

os.environ.setdefault("OMP_NUM_THREADS", "1")

from flows.embedded_server import quieten_prefect, start_prefect_server

SMALL, LARGE = 64, 320
IMAGES_PER_SHARD = 32
OVERRIDES = (
    "labels.coarse.size_px=518",
    "labels.compute.device=cpu",
    f"run.sharding.images_per_shard={IMAGES_PER_SHARD}",
)


def write_photographs(folder: Path, number: int) -> None:
    """Write crops of a real photograph, 800 x 600 JPEG, each with other bytes."""
    source = Image.fromarray(data.coffee()).resize((1000, 800))
    folder.mkdir()
    for i in range(number):
        left, top = i % 200, (i * 7) % 200
        source.crop((left, top, left + 800, top + 600)).save(folder / f"{i:05d}.jpg", quality=90)


def write_tiny_model(folder: Path) -> None:
    """Write a Depth Anything of 4 narrow layers with the real patch size, the same one each time.

    Drawn as `redepth.coarse.mini` draws its weights: with transformers' own the maps of so
    narrow a model are constant, which the guard refuses at once and which pack to nothing.
    """
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    from redepth.coarse.depth_anything.mini import UNTRAINED_STD

    backbone = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        patch_size=14,
        image_size=518,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        initializer_range=UNTRAINED_STD,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=4,
        head_hidden_size=4,
        initializer_range=UNTRAINED_STD,
    )
    torch.manual_seed(0)
    model = DepthAnythingForDepthEstimation(config)
    model.head.conv3.weight.data.abs_().mul_(1000.0)
    model.head.conv3.bias.data.fill_(1.0)
    model.save_pretrained(folder)


def overrides(photographs: Path) -> tuple[str, ...]:
    return (*OVERRIDES, f"labels.coarse.weights.folder={photographs.parent / 'tiny'}")


def bare_loop(photographs: Path, out: Path) -> float:
    """Label without any engine; return the seconds after the models are loaded."""
    from redepth.config import load_recipe
    from redepth.images.collection import list_images
    from redepth.labelling.labeller import label_shard, load_labeller
    from redepth.store.manifest import read_shard_plans
    from redepth.store.planning import plan_labels
    from redepth.store.shards import write_shard

    recipe = load_recipe("mini-coarse", overrides(photographs))
    labeller = load_labeller(recipe.labels)
    started = time.perf_counter()
    plan = plan_labels(list_images(str(photographs)), str(out), recipe)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        labels = label_shard(labeller, shard.images)
        write_shard(str(out), shard, labels, recipe.labels.storage)
    return time.perf_counter() - started


def pipeline(photographs: Path, out: Path, num_actors: int) -> float:
    """Label with the flow; return its seconds, start-up included."""
    from flows.label_images import label_images
    from redepth.config import load_recipe

    settings = (*overrides(photographs), f"run.actors.num_actors={num_actors}")
    started = time.perf_counter()
    label_images(str(photographs), str(out), load_recipe("mini-coarse", settings))
    return time.perf_counter() - started


def main() -> None:
    quieten_prefect()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_tiny_model(root / "tiny")
        for number in (SMALL, LARGE):
            write_photographs(root / f"photographs-{number}", number)
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        start_prefect_server()
        measured = {
            "bare loop, 1 process": slope(root, "bare", bare_loop),
            "pipeline, 1 actor": slope(root, "one", lambda p, o: pipeline(p, o, 1)),
            "pipeline, 2 actors": slope(root, "two", lambda p, o: pipeline(p, o, 2)),
        }
    bare = measured["bare loop, 1 process"]
    print("\n| run | ms an image | times the bare loop |\n|---|---:|---:|")
    for name, milliseconds in measured.items():
        print(f"| {name} | {milliseconds:.1f} | {milliseconds / bare:.2f} |")


def slope(root: Path, name: str, run: object) -> float:
    """Return the milliseconds that one more image takes."""
    assert callable(run)
    seconds = [
        run(root / f"photographs-{number}", root / f"{name}-{number}") for number in (SMALL, LARGE)
    ]
    return float(np.diff(seconds)[0] / (LARGE - SMALL) * 1000)


if __name__ == "__main__":
    main()
