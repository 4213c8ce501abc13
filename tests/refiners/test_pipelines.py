"""The pipelines of trained refiners, called as any diffusers pipeline is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from redepth.config import load_recipe
from redepth.labelling.labeller import load_labeller
from redepth.refiners.betterdepth import BetterDepth
from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline
from redepth.refiners.betterdepth.refiner import BetterDepthRefiner
from redepth.refiners.latents.pipeline import LatentDepthPipeline
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.refiners.sharpdepth import SharpDepth
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline
from redepth.refiners.sharpdepth.refiner import SharpDepthRefiner
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split

MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"
PIPELINES = {"betterdepth": BetterDepthPipeline, "sharpdepth": SharpDepthPipeline}
RECIPES = {"betterdepth": "betterdepth-mini", "sharpdepth": "sharpdepth-mini"}


def read(name: str, folder: Path | None = None) -> LatentDepthPipeline:
    """Read a pipeline, frozen: torch rounds otherwise where a gradient could be asked for."""
    pipeline: LatentDepthPipeline = PIPELINES[name].from_pretrained(
        folder or MINI / name, variant="fp16", dtype=torch.float32, local_files_only=True
    )
    for network in (pipeline.vae, pipeline.unet):
        network.requires_grad_(False)
    return pipeline


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Sums over several threads differ in their last bits."""
    torch.set_num_threads(1)


def drawn_noise(refiner: Refiner, scene: RefinementInput, num_members: int) -> torch.Tensor:
    """Return what a refiner draws for all its members."""
    if isinstance(refiner, SharpDepthRefiner):
        return refiner._draw(scene, range(num_members))
    assert isinstance(refiner, BetterDepthRefiner)
    return refiner._draw(scene)


@pytest.fixture(scope="module", params=PIPELINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def scene() -> tuple[np.ndarray, np.ndarray]:
    rendered = render_scene("fences", 0, 64, Split.TUNING)
    return rendered.rgb_hw3, rendered.depth_hw


def test_a_picture_and_its_map_give_a_refined_map(name: str) -> None:
    rgb_hw3, depth_hw = scene()
    found = read(name)(Image.fromarray(rgb_hw3), depth_hw, ensemble_size=2)
    assert found.prediction.shape == depth_hw.shape
    assert found.prediction.dtype == np.float32
    assert len(found.members) == 2
    assert np.isfinite(found.prediction).all()
    assert not np.array_equal(found.prediction, depth_hw)


def test_a_label_is_what_the_pipeline_gives(name: str) -> None:
    """Same noise, same members, bit for bit: labels are made by this very call."""
    labeller = load_labeller(load_recipe(RECIPES[name]).labels)
    rgb_hw3, _ = scene()
    coarse = labeller.estimator.estimate(rgb_hw3)
    input_ = RefinementInput("fence", rgb_hw3, coarse, "")
    expected = labeller.refiner.refine(input_).maps_ehw
    settings = labeller.settings.refiner
    assert isinstance(settings, BetterDepth | SharpDepth)
    noise = drawn_noise(labeller.refiner, input_, settings.num_members)
    steps = {"num_inference_steps": settings.num_steps} if isinstance(settings, BetterDepth) else {}
    found = read(name)(
        rgb_hw3, coarse.map_hw, latents=noise, batch_size=settings.members_per_batch, **steps
    )
    members = [m if isinstance(m, np.ndarray) else m.map_hw for m in found.members]
    np.testing.assert_array_equal(np.stack(members), expected)


def test_a_generator_decides_the_draw(name: str) -> None:
    pipeline = read(name)
    first, again, other = (
        pipeline(*scene(), generator=torch.Generator().manual_seed(seed)).prediction
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_depth_is_refined_as_disparity_turned_round() -> None:
    pipeline = read("betterdepth")
    rgb_hw3, depth_hw = scene()
    noise = torch.randn((1, *pipeline.latent_shape(64, 64)), generator=torch.Generator())
    near = pipeline(rgb_hw3, -depth_hw, latents=noise).prediction
    far = pipeline(rgb_hw3, depth_hw, latents=noise, larger_is_nearer=False).prediction
    np.testing.assert_array_equal(near, -far)


def test_a_picture_of_another_size_is_refused(name: str) -> None:
    rgb_hw3, depth_hw = scene()
    with pytest.raises(ValueError, match=r"the picture is \(64, 64, 3\), expected .*\(32, 64\)"):
        read(name)(rgb_hw3, depth_hw[:32])


def test_what_is_saved_is_read_again(name: str, tmp_path: Path) -> None:
    pipeline = read(name)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    assert json.loads((tmp_path / "model_index.json").read_text())["_class_name"] == (
        PIPELINES[name].__name__
    )
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    first, second = (
        one(*scene(), generator=generator).prediction
        for one, generator in zip((pipeline, read(name, tmp_path)), generators, strict=True)
    )
    np.testing.assert_array_equal(first, second)


def test_without_its_text_encoder_it_gives_the_same(name: str) -> None:
    pipeline = read(name)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    before = pipeline(*scene(), generator=generators[0]).prediction
    pipeline.drop_text_encoder()
    assert pipeline.text_encoder is None
    after = pipeline(*scene(), generator=generators[1]).prediction
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("through", ["own class", "DiffusionPipeline"])
def test_code_in_a_folder_of_weights_is_never_run(name: str, through: str, tmp_path: Path) -> None:
    """model_index.json may name a file of the folder as its class: diffusers refuses."""
    folder = tmp_path / "weights"
    shutil.copytree(MINI / name, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["planted", "Planted"]
    (folder / "model_index.json").write_text(json.dumps(index))
    marker = tmp_path / "it_ran"
    (folder / "planted.py").write_text(f"open({str(marker)!r}, 'w')\n")
    read_with = PIPELINES[name] if through == "own class" else DiffusionPipeline
    with pytest.raises(ValueError, match="contains custom code"):
        read_with.from_pretrained(folder, variant="fp16", local_files_only=True)
    load_labeller(
        load_recipe(
            RECIPES[name],
            (
                f"labels.refiner.model.weights.folder={folder}",
                "labels.refiner.model.weights.variant=fp16",
            ),
        ).labels
    )
    assert not marker.exists()
    assert "planted" not in sys.modules


def test_importing_a_pipeline_brings_in_no_flow_and_no_store() -> None:
    import subprocess

    probe = (
        "import sys, redepth.refiners.betterdepth.pipeline, redepth.refiners.sharpdepth.pipeline;"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('flows', 'tasks', 'prefect',"
        "'ray', 'zarr') or m.startswith('redepth.store')))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
