"""A student is trained, judged on images it has not seen, saved, loaded, and goes on learning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.refiners.distilled import Distilled
from redepth.refiners.distilled.familiar import FamiliarImages
from redepth.refiners.distilled.gain import Cues, Gain, read_gain
from redepth.refiners.distilled.loading import load_student
from redepth.refiners.distilled.refiner import DistilledRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.collection import write_collection
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.settings import Compute, Weights
from redepth.training import CONFIGS
from redepth.training.distilled.loss import change_loss, framed
from redepth.training.distilled.measure import Seen, judge
from redepth.training.distilled.run import train_distilled
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.distilled.split import HELD_OUT_NAME, is_held_out, split_images
from redepth.training.engine.run import Run
from redepth.training.examples.teacher import TeacherBatch
from redepth.types import CoarseDepth, DepthKind, Members
from tests.training.refiner_samples import Outputs

CPU = torch.device("cpu")
NUM_STEPS = 30


def settings(*changes: str) -> DistilledTraining:
    own = (
        *("data.height_px=32", "data.width_px=32", "data.held_out_share=0.4"),
        *("network.channels=[8, 16]", f"optimiser.num_steps={NUM_STEPS}"),
        *("optimiser.batch_size=4", "optimiser.warm_up_steps=5", "run.save_every=10"),
    )
    return CONFIGS.load(DistilledTraining, "distilled-mini", (*own, *changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distilled")
    write_collection(folder / "teacher", ("lumps", "solids"), 10, 32, Split.TRAIN)
    write_collection(folder / "more", ("faces",), 10, 32, Split.TRAIN)
    return folder


def train(folder: Path, out: str, *changes: str, resume: bool = False) -> Path:
    chosen = settings(f"data.labels=[{folder}/teacher]", *changes)
    return train_distilled(Run(chosen, folder / out, Outputs(), CPU, resume)).folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return train(folder, "first")


def refiner(model: Path, max_distance: float = 100.0) -> DistilledRefiner:
    weights = Weights(folder=str(model), variant="fp16")
    student = load_student(weights, None, Compute(device="cpu"), CPU)
    gain = student.gain.model_copy(update={"max_distance": max_distance})
    return DistilledRefiner(Distilled(), replace(student, gain=gain))


def scene(family: str, seed: int = 50) -> RefinementInput:
    rendered = render_scene(family, seed, 32, Split.TUNING)
    disparity = (1.0 / rendered.depth_hw).astype(np.float32)
    blurred = disparity[::4, ::4].repeat(4, 0).repeat(4, 1)
    coarse = CoarseDepth(np.ascontiguousarray(blurred), DepthKind.AFFINE_DISPARITY)
    return RefinementInput(f"{family}-{seed}", rendered.rgb_hw3, coarse, "")


def refine_anyway(student: DistilledRefiner, of: RefinementInput) -> np.ndarray:
    answers = student._student.pipeline.answer(
        [of.rgb_hw3], [of.coarse.map_hw], num_members=2, larger_is_nearer=True
    )
    members: np.ndarray = answers.maps_behw[0]
    return members


def test_it_learns_its_teachers_change(folder: Path, model: Path) -> None:
    """It reproduces a part of it on images that were kept out; untrained it changes nothing."""
    found = json.loads((folder / "first" / "validation" / HELD_OUT_NAME).read_text())
    assert found["kept_share"] > 0.05
    assert found["kept_share_before"] is None
    assert all(is_held_out(image["id"], 0.4) for image in found["images"])
    card = (model / "README.md").read_text()
    assert "the truth (0123456789ab)" in card and "Apache-2.0" in card


def test_two_members_are_the_picture_and_its_mirror_image(model: Path) -> None:
    one = scene("lumps")
    both = refine_anyway(refiner(model), one)
    mirrored = replace(
        one,
        rgb_hw3=np.ascontiguousarray(one.rgb_hw3[:, ::-1]),
        coarse=CoarseDepth(np.ascontiguousarray(one.coarse.map_hw[:, ::-1]), one.coarse.kind),
    )
    turned = refine_anyway(refiner(model), mirrored)[:, :, ::-1]
    np.testing.assert_allclose(both, turned[::-1], atol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 0


def test_scale_shift_and_sense_of_the_coarse_map_are_kept(model: Path) -> None:
    student, one = refiner(model), scene("lumps")
    own = student.refine(one).maps_ehw
    scaled = CoarseDepth(7.0 * one.coarse.map_hw - 3.0, one.coarse.kind)
    np.testing.assert_allclose(
        student.refine(replace(one, coarse=scaled)).maps_ehw, 7.0 * own - 3.0, rtol=1e-3, atol=1e-3
    )
    depth = CoarseDepth(-one.coarse.map_hw, DepthKind.AFFINE_DEPTH)
    np.testing.assert_allclose(student.refine(replace(one, coarse=depth)).maps_ehw, -own, atol=1e-4)


def test_an_image_does_not_depend_on_its_neighbours(model: Path) -> None:
    student, scenes = refiner(model), [scene("lumps", n) for n in range(50, 53)]
    together = student.refine_batch(scenes)
    back = student.refine_batch(scenes[::-1])[::-1]
    for first, second in zip(together, back, strict=True):
        assert isinstance(first, Members) and isinstance(second, Members)
        assert first.maps_ehw.tobytes() == second.maps_ehw.tobytes()
        assert first.predicted_gain == second.predicted_gain
        assert first.predicted_gain is not None and first.predicted_gain >= 0


def test_an_image_unlike_the_others_is_left_alone(model: Path) -> None:
    assert 0.1 < read_gain(model).max_distance < 10.0
    one = scene("lumps")
    members = refiner(model, max_distance=1e-3).refine(one)
    assert members.refused is not None
    assert members.refused.startswith("unlike what the student was distilled from: distance")
    np.testing.assert_array_equal(members.maps_ehw[0], one.coarse.map_hw)


def test_interrupted_and_resumed_it_ends_with_the_same_weights(folder: Path, model: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(what: str, done: int, total: int, loss: float) -> None:
        if what == "student" and done == 15:
            raise Stopped

    chosen = settings(f"data.labels=[{folder}/teacher]")
    with pytest.raises(Stopped):
        train_distilled(Run(chosen, folder / "stopped", Outputs(), CPU, progress=stop))
    resumed = train(folder, "stopped", resume=True)
    for path in model.rglob("*"):
        if path.is_file():
            assert (resumed / path.relative_to(model)).read_bytes() == path.read_bytes(), path


def test_it_goes_on_with_more_labels(folder: Path, model: Path) -> None:
    first = f"init={{folder: {model}, variant: fp16}}"
    train(folder, "second", f"data.labels=[{folder}/teacher, {folder}/more]", first)
    found = json.loads((folder / "second" / "validation" / HELD_OUT_NAME).read_text())
    assert found["kept_share"] > found["kept_share_before"]


def test_what_is_no_student_is_refused(folder: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match=r"no student"):
        train(folder, "refused", f"init.folder={folder}")
    weights = Weights(folder=str(folder))
    with pytest.raises(ConfigError, match=r"is no student: it has no gain\.json"):
        load_student(weights, None, Compute(device="cpu"), CPU)


def test_too_few_labels_are_refused_before_the_first_step() -> None:
    with pytest.raises(ConfigError, match=r"the teacher refined 6 images"):
        split_images([f"image-{n}" for n in range(6)], 0.2)


@given(st.sets(st.text(min_size=1), min_size=60, max_size=80), st.sets(st.text(min_size=1)))
def test_an_image_stays_on_its_side_when_others_come(ids: set[str], more: set[str]) -> None:
    few, many = sorted(ids), sorted(ids | more)
    before = {few[n] for n in split_images(few, 0.5).held_out}
    after = {many[n] for n in split_images(many, 0.5).held_out}
    assert before == after & ids


def test_the_frame_is_the_coarse_maps_own() -> None:
    """A teacher that only scales and shifts changes nothing; of metres it changes that."""
    coarse = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    batch = TeacherBatch(torch.zeros(1, 3, 16, 16), coarse, 3 * coarse + 2, torch.ones_like(coarse))
    shown, change = framed(batch)
    assert float(change.abs().max()) < 1e-4
    assert float(shown[:, 3].quantile(0.98)) == pytest.approx(1.0, abs=1e-5)
    _, in_metres = framed(replace(batch, is_free=False))
    assert float(in_metres.abs().mean()) > 1.0


def test_pixels_of_no_weight_teach_nothing() -> None:
    found = torch.zeros(1, 8, 8, requires_grad=True)
    change = torch.ones(1, 8, 8)
    weight = torch.ones(1, 8, 8)
    weight[:, :, 4:] = 0.0
    change_loss(found, change, weight, 0.5).backward()
    assert found.grad is not None
    assert float(found.grad[:, :, 4:].abs().max()) == 0.0
    assert float(found.grad[:, :, :4].abs().min()) > 0.0


def seen(number: int, features: list[float], left: float, change: float = 0.1) -> Seen:
    return Seen(str(number), torch.tensor(features), change, 0.0, 0.2, left)


def test_the_expected_gain_grows_with_what_goes_with_it() -> None:
    learned = [seen(n, [float(n % 5), 0.0], 0.0) for n in range(20)]
    held_out = [seen(n, [0.0, 0.0], 0.5 * n / 20, change=n / 20) for n in range(20)]
    gain = judge(learned, held_out).gain
    assert gain.change == pytest.approx(0.5, abs=1e-6)
    assert gain.predict(Cues(0.4, 0.0, 0.0)) == pytest.approx(0.2, abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3))
def test_no_cue_makes_the_expected_gain_smaller(cues: list[float], more: list[float]) -> None:
    gain = Gain(constant=0.1, change=0.3, disagreement=2.0, distance=0.5, max_distance=1.0)
    higher = Cues(*(a + b for a, b in zip(cues, more, strict=False)))
    assert gain.predict(higher) >= gain.predict(Cues(*cues))


def test_a_teacher_that_changes_nothing_is_refused() -> None:
    held_out = [replace(seen(n, [0.0, 0.0], 0.0), teacher_change=0.0) for n in range(5)]
    with pytest.raises(ConfigError, match=r"changed none of the 5 images"):
        judge(held_out, held_out)


def test_the_distance_is_to_the_nearest_images() -> None:
    features = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    images = FamiliarImages.of(3.0 * features + 1.0)
    others = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    inside = [images.distance(3.0 * one + 1.0) for one in others]
    assert 0.8 < float(np.median(inside)) < 1.3
    assert images.distance(torch.full((6,), 31.0)) > 3 * max(inside)


def test_a_distance_counts_as_a_multiple_of_what_is_usual_there() -> None:
    """One kind of image is ten times as varied as another: what is far for one is near for it."""
    draws = torch.Generator().manual_seed(0)
    wide = torch.randn(100, 6, generator=draws)
    narrow = 0.1 * torch.randn(100, 6, generator=draws) + 10.0
    images = FamiliarImages.of(torch.cat((wide, narrow)))
    off = torch.full((6,), 0.8)
    assert images.distance(10.0 + off) > 2 * images.distance(off)


def test_the_student_is_a_refiner_of_recipes(model: Path) -> None:
    changes = (
        "labels.refiner={method: distilled, model: {weights: "
        f"{{folder: {model}, variant: fp16}}}}}}",
        "labels.ensemble.confidence_mapping=null",
    )
    recipe = load_recipe("mini", changes)
    assert isinstance(recipe.labels.refiner, Distilled)
