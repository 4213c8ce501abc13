"""The trained refiner: labels that depend on the image alone, members, sizes, kinds of maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from redepth.config import LabelSettings, load_recipe
from redepth.errors import ConfigError, RefinementFailed
from redepth.lab.scoring import score
from redepth.labelling.labeller import Labeller, label_shard, load_labeller
from redepth.refiners.betterdepth import BetterDepth
from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline
from redepth.refiners.betterdepth.refiner import BetterDepthRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.types import CoarseDepth, DepthKind, ImageRef, Label

MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"


def settings(*changes: str) -> LabelSettings:
    return load_recipe("betterdepth-mini", changes).labels


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load_labeller(settings())


@pytest.fixture(scope="module")
def scene(labeller: Labeller) -> RefinementInput:
    rendered = render_scene("faces", 0, 64, Split.TUNING)
    return RefinementInput(
        "face", rendered.rgb_hw3, labeller.estimator.estimate(rendered.rgb_hw3), ""
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    folder = tmp_path_factory.mktemp("photographs")
    refs = []
    for number, size in enumerate([(64, 64), (90, 60), (40, 100)]):
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        refs.append(ImageRef(f"image-{number}", str(folder / f"{number}.png")))
    return refs


def maps(label: Label) -> tuple[bytes, ...]:
    assert label.arrays is not None
    arrays = label.arrays
    return tuple(a.tobytes() for a in (arrays["refined"], arrays["spread"], arrays["confidence"]))


def test_a_label_does_not_depend_on_its_neighbours(
    labeller: Labeller, photographs: list[ImageRef]
) -> None:
    """Images of three shapes, alone, together, in another order: the same bytes."""
    together = {label.row.id: maps(label) for label in label_shard(labeller, photographs)}
    back = {label.row.id: maps(label) for label in label_shard(labeller, photographs[::-1])}
    alone = {ref.id: maps(labeller.label(ref)) for ref in photographs}
    assert together == back == alone
    assert len(set(together.values())) == len(photographs)


def test_there_is_a_confidence_and_it_varies(
    labeller: Labeller, photographs: list[ImageRef]
) -> None:
    label = labeller.label(photographs[1])
    assert label.arrays is not None
    assert label.row.num_members == 4
    assert 0 <= label.arrays["confidence"].min() < label.arrays["confidence"].max() <= 1
    assert not label.row.untrained


def test_members_that_share_a_batch_are_those_that_do_not(scene: RefinementInput) -> None:
    one, two = (
        load_labeller(settings(f"labels.refiner.members_per_batch={n}")).refiner for n in (1, 3)
    )
    first, second = one.refine(scene).maps_ehw, two.refine(scene).maps_ehw
    assert first.shape == (4, 64, 64)
    np.testing.assert_allclose(first, second, atol=1e-4 * float(np.ptp(first)))
    assert np.ptp(first, axis=0).mean() > 0


def test_a_map_in_another_unit_is_refined_alike(labeller: Labeller, scene: RefinementInput) -> None:
    """Scale and shift mean nothing, and depth is disparity with its sign turned."""
    own = labeller.refiner.refine(scene).maps_ehw
    scaled = CoarseDepth(7.0 * scene.coarse.map_hw - 3.0, scene.coarse.kind)
    np.testing.assert_allclose(
        labeller.refiner.refine(replace(scene, coarse=scaled)).maps_ehw, 7.0 * own - 3.0, atol=0.02
    )
    turned = CoarseDepth(-scene.coarse.map_hw, DepthKind.AFFINE_DEPTH)
    np.testing.assert_allclose(
        labeller.refiner.refine(replace(scene, coarse=turned)).maps_ehw, -own, atol=0.002
    )


def test_it_needs_no_caption(labeller: Labeller, scene: RefinementInput) -> None:
    assert labeller.refiner.caption(scene.rgb_hw3, "a face") is None


def test_maps_that_are_not_finite_are_no_members(
    labeller: Labeller, scene: RefinementInput
) -> None:
    class Broken(BetterDepthPipeline):
        def denoise(self, conditions: object, noise_bchw: Tensor, num_steps: int) -> Tensor:
            return torch.full((len(noise_bchw), 64, 64), torch.nan)

    own = settings().refiner
    assert isinstance(own, BetterDepth)
    broken = BetterDepthRefiner(
        own,
        0,
        Broken.from_pretrained(MINI / "betterdepth", variant="fp16", local_files_only=True),
        labeller.refiner.cards[0],
    )
    with pytest.raises(RefinementFailed, match="member 0: its map is not finite; member 1"):
        broken.refine(scene)


def test_over_either_coarse_model_normals_improve(labeller: Labeller) -> None:
    """Six tuning scenes; what is gained on held-out ones is in docs/results/betterdepth.md."""
    for preset in ("mini", "mini-dpt"):
        own = load_labeller(settings(f"labels.coarse.preset={preset}", "labels.coarse.size_px=64"))
        before, after = [], []
        for family in ("lumps", "faces", "coins", "pebbles", "dunes", "solids"):
            rendered = render_scene(family, 1, 64, Split.TUNING)
            coarse = own.estimator.estimate(rendered.rgb_hw3)
            members = own.refiner.refine(RefinementInput(rendered.id, rendered.rgb_hw3, coarse, ""))
            everywhere = np.ones((64, 64), bool)
            before.append(score(coarse.map_hw, rendered, everywhere).normal_deg)
            after.append(score(members.maps_ehw.mean(axis=0), rendered, everywhere).normal_deg)
        assert np.mean(after) < 0.97 * np.mean(before)


def test_a_text_to_image_folder_is_no_refiner() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the settings|is no BetterDepth model"):
        load_labeller(
            settings(
                f"labels.refiner.model.weights.folder={MINI / 'prior'}",
                "labels.refiner.model.weights.variant=fp16",
            )
        )


def test_without_weights_of_its_own_the_real_recipe_says_what_to_do() -> None:
    recipe = load_recipe("betterdepth", ["labels.compute.device=cpu", "labels.coarse.preset=mini"])
    with pytest.raises(ConfigError, match=r"train them, and name them with weights\.folder"):
        load_labeller(recipe.labels)
