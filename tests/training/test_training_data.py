"""What the mini models are shown: exact shapes, pictures as the refiner makes them, prompts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from redepth.coarse import coarse_models
from redepth.coarse.part import Rendering
from redepth.geometry.relighting import relight, to_linear, to_srgb
from redepth.refiners.redepth_anything.mini_prior import learn_merges
from redepth.scenes.families import FAMILIES, render_scene
from redepth.scenes.reliefs import NEAR_FRONTAL
from redepth.scenes.scene import SceneKind, Split
from redepth.training.draws import step_generator
from redepth.training.examples.scene_pool import (
    RENDER_MARGIN,
    RENDER_SCALE,
    SceneBatch,
    ScenePool,
    draw_batch,
    lit_from,
    render_depth,
    render_pool,
    target_disparity,
)
from redepth.training.mini_models import depth as mini_depth
from redepth.training.mini_models import prior as mini_prior
from redepth.training.mini_models.composites import WRONG_WORD, corrupt, draw_light, show


@pytest.fixture(scope="module")
def pool() -> ScenePool:
    return render_pool({"faces": 12, "coins": 6, "solids": 2})


@pytest.fixture(scope="module")
def batch(pool: ScenePool) -> SceneBatch:
    generator = step_generator(0, "test", 0)
    return draw_batch(pool, {"faces": 0.5, "coins": 0.5}, 400, generator)


def test_the_presets_constants_are_the_targets() -> None:
    mini = coarse_models["mini"]
    assert mini.rendering == Rendering(RENDER_SCALE, RENDER_MARGIN)


@pytest.mark.parametrize("family", [n for n, f in FAMILIES.items() if f.kind is SceneKind.RELIEF])
def test_the_render_depth_of_a_target_is_the_scenes_depth(family: str) -> None:
    scene = render_scene(family, 3, 64, Split.TRAIN)
    depth_hw = render_depth(torch.from_numpy(target_disparity(scene))).numpy()
    np.testing.assert_allclose(depth_hw, scene.depth_hw, rtol=1e-5)


def test_the_target_of_objects_is_positive_and_keeps_their_order() -> None:
    scene = render_scene("solids", 0, 64, Split.TRAIN)
    target_hw = target_disparity(scene)
    assert target_hw.min() > 0
    assert target_hw.mean() == pytest.approx(0.6, abs=0.01)
    nearest = np.unravel_index(scene.depth_hw.argmin(), scene.depth_hw.shape)
    assert target_hw[nearest] == target_hw.max()


def test_no_shape_of_the_evaluation_is_shown_to_the_depth_net() -> None:
    assert all(FAMILIES[name].in_distribution for name in mini_depth.SHARES)
    assert set(mini_prior.SHARES) == set(FAMILIES)


@pytest.mark.parametrize("stage", [mini_depth, mini_prior])
def test_shares_are_of_one_and_rendered(stage: ModuleType) -> None:
    assert sum(stage.SHARES.values()) == pytest.approx(1.0)
    assert stage.SHARES.keys() == stage.NUM_SCENES.keys()


def test_rendering_in_processes_changes_no_scene(pool: ScenePool) -> None:
    shared = render_pool({"faces": 12, "coins": 6, "solids": 2}, num_processes=2)
    assert torch.equal(shared.rgb_n3hw, pool.rgb_n3hw)
    assert torch.equal(shared.disparity_nhw, pool.disparity_nhw)
    assert (shared.captions, shared.families) == (pool.captions, pool.families)


def test_a_relief_lit_anew_keeps_its_shape() -> None:
    scene = render_scene("lumps", 1, 64, Split.TRAIN)
    lit = lit_from(scene, NEAR_FRONTAL)
    assert np.array_equal(lit.depth_hw, scene.depth_hw)
    assert not np.array_equal(lit.rgb_hw3, scene.rgb_hw3)
    assert np.array_equal(lit_from(scene, NEAR_FRONTAL).rgb_hw3, lit.rgb_hw3)


def test_a_batch_is_of_its_families_and_a_function_of_the_step(
    pool: ScenePool, batch: SceneBatch
) -> None:
    faces = sum("face" in caption for caption in batch.captions)
    assert 150 < faces < 250
    assert all("face" in c or "coin" in c for c in batch.captions)
    again = draw_batch(pool, {"faces": 0.5, "coins": 0.5}, 400, step_generator(0, "test", 0))
    assert torch.equal(again.image_b3hw, batch.image_b3hw)
    other = draw_batch(pool, {"faces": 0.5, "coins": 0.5}, 400, step_generator(0, "test", 1))
    assert not torch.equal(other.image_b3hw, batch.image_b3hw)


def test_prompts_have_their_shares(batch: SceneBatch) -> None:
    prompts = show(batch, step_generator(0, "test", 2)).prompts
    empty = sum(prompt == "" for prompt in prompts) / len(prompts)
    wrong = sum(prompt.startswith(WRONG_WORD) for prompt in prompts) / len(prompts)
    assert empty == pytest.approx(0.18, abs=0.06)
    assert wrong == pytest.approx(0.33 * 0.7, abs=0.07)


def test_pictures_are_plain_or_lit_and_in_range(batch: SceneBatch) -> None:
    image = show(batch, step_generator(0, "test", 3)).image_b3hw
    assert image.shape == batch.image_b3hw.shape
    assert image.min() >= -1.0
    assert image.max() <= 1.0
    plain = (image == batch.image_b3hw * 2.0 - 1.0).flatten(1).all(dim=1).float().mean()
    assert float(plain) == pytest.approx(0.22, abs=0.07)


def test_lit_pictures_are_those_of_the_refiner(batch: SceneBatch) -> None:
    """Replay the draws: where the shape is true, the picture is relight of it and nothing else."""
    generator = step_generator(0, "test", 4)
    image = show(batch, generator).image_b3hw
    replay = step_generator(0, "test", 4)
    kind = torch.rand(len(batch.captions), generator=replay)
    depth = render_depth(batch.disparity_bhw)
    corrupt(depth, depth, replay)
    light = draw_light(len(batch.captions), replay)
    expected = to_srgb(relight(depth, to_linear(batch.image_b3hw), light)) * 2.0 - 1.0
    true = (kind >= 0.22) & (kind < 0.67)
    assert torch.equal(image[true], expected[true])


def test_wrong_shapes_are_wrong(batch: SceneBatch) -> None:
    depth, sibling = (render_depth(d) for d in (batch.disparity_bhw, batch.sibling_disparity_bhw))
    wrong = corrupt(depth, sibling, step_generator(0, "test", 5))
    assert torch.isfinite(wrong).all()
    assert wrong.min() > 0
    deviation = (depth - depth.mean(dim=(1, 2), keepdim=True)).square().mean(dim=(1, 2)).sqrt()
    error = (wrong - depth).square().mean(dim=(1, 2)).sqrt() / deviation
    assert error.median() > 0.3
    assert (error > 0.1).float().mean() > 0.85  # a scene may be its own sibling


def test_merges_are_those_of_the_most_frequent_pairs_then_of_the_letters() -> None:
    """Worked out by hand: "ab" 5 times, "cb" 5 times, "abc" once."""
    words = {"ab": 5, "cb": 5, "abc": 1}
    expected = [("a", "b</w>"), ("c", "b</w>"), ("a", "b"), ("ab", "c</w>")]
    assert learn_merges(words, 10) == expected
    assert learn_merges(dict(reversed(words.items())), 10) == expected
    assert learn_merges(words, 2) == expected[:2]


def test_the_tokenizer_is_a_function_of_the_captions() -> None:
    """A training that resumes in another process must give every word its old token."""
    captions = [render_scene(name, 1, 16, Split.TRAIN).caption for name in FAMILIES]
    first, second = (
        mini_prior.new_prior(0, texts).tokenizer for texts in (captions, captions[::-1])
    )
    assert first.get_vocab() == second.get_vocab()
    for caption in captions:
        assert first.tokenize(caption) == [f"{w}</w>" for w in caption.replace(",", " ,").split()]
