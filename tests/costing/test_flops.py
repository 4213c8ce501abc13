"""FLOPs of parts and recipes: the table against the networks, recipes against known numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import architectures
from redepth.coarse import coarse_models
from redepth.config import load_recipe, shipped_recipes
from redepth.costing.work import flops_of_images, recipe_flops, seconds_at_limit, usual_image
from redepth.flops import FlopCount, ImageWork, counted
from redepth.refiners.part import RefinerPart
from redepth.refiners.redepth_anything import PRIORS
from scripts import count_flops

TABLE = Path(counted.__file__)


def counted_on_meta(build: object, run: object, side: int) -> int:
    network = count_flops.on_meta(build)  # type: ignore[arg-type]
    return count_flops.count(partial(run(network), side))  # type: ignore[operator]


def test_the_table_holds_at_a_size_that_it_was_not_made_of() -> None:
    """A polynomial through three sizes says a fourth: costs grow with pixels and their square."""
    vae = counted_on_meta(architectures.stable_diffusion_vae, count_flops.encoder_of, 384)
    assert counted.STABLE_DIFFUSION_ENCODER.at(384**2) == pytest.approx(vae, rel=1e-3)
    unet_of = partial(count_flops.unet_of, factor=8, num_tokens=77)
    unet = counted_on_meta(architectures.stable_diffusion_unet, unet_of, 640)
    assert counted.STABLE_DIFFUSION_UNET.at(640**2) == pytest.approx(unet, rel=1e-3)
    depth = counted_on_meta(architectures.depth_anything, count_flops.picture_of, 518)
    assert counted.DEPTH_ANYTHING_SMALL.at(518**2) == pytest.approx(depth, rel=0.01)


@pytest.mark.slow
def test_the_table_is_what_the_script_writes() -> None:
    assert TABLE.read_text(encoding="utf-8") == count_flops.table()


def test_an_encoding_with_its_gradient_costs_twice_one_without() -> None:
    """What `redepth_anything` counts for the frozen encoder; 2.27 TFLOP at 512 px."""
    vae = count_flops.on_meta(architectures.stable_diffusion_vae).requires_grad_(False)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        picture = torch.zeros(1, 3, 512, 512, requires_grad=True)
        torch.autograd.backward(vae.encode(picture).latent_dist.mean.sum())
    both = counter.get_total_flops()
    assert both == pytest.approx(2.27e12, rel=0.01)
    forward = PRIORS["stable-diffusion-v1-5"].encoder_flops.at(512**2)
    assert 2 * forward == pytest.approx(both, rel=0.02)


def test_a_pair_of_unet_evaluations_is_what_was_known() -> None:
    pair = 2 * PRIORS["stable-diffusion-v1-5"].unet_flops.at(512**2)
    assert pair == pytest.approx(1.61e12, rel=0.01)


def test_flops_of_redepth_anything_are_its_member_steps_and_the_coarse_forward() -> None:
    labels = load_recipe("redepth-anything").labels
    none = recipe_flops(labels, ImageWork(392, 518, num_steps=0))
    one = recipe_flops(labels, ImageWork(392, 518, num_steps=1))
    assert none is not None and one is not None
    assert none["float32"] == coarse_models["depth-anything-v2-small"].flops(  # type: ignore[misc]
        labels.coarse, ImageWork(392, 518)
    )["float32"]  # fmt: skip
    member_step = sum(one.values()) - sum(none.values())
    assert member_step / 10 == pytest.approx(2.25e12 + 1.61e12 + 3 * 16.6e9, rel=0.01)


def test_a_tiny_encoder_takes_what_the_vaes_cost_off_a_step() -> None:
    """TAESD costs 0.245 TFLOP at 512 px, forward and backward; the VAE's encoder 2.27."""
    step, tiny = (
        sum((recipe_flops(load_recipe("redepth-anything", changes).labels, one) or {}).values())
        for one in (ImageWork(392, 518, num_steps=1),)
        for changes in ((), ("labels.refiner.prior.encoder=taesd",))
    )
    assert (step - tiny) / 10 == pytest.approx(2.25e12 - 0.245e12, rel=0.01)


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_has_flops(name: str) -> None:
    labels = load_recipe(name).labels
    flops = recipe_flops(labels, usual_image(labels))
    assert flops is not None
    assert min(flops.values()) > 0


def test_a_member_or_a_step_more_costs_more() -> None:
    usual = ImageWork(392, 518)
    flops = {
        (steps, members): recipe_flops(
            load_recipe(
                "betterdepth",
                (f"labels.refiner.num_steps={steps}", f"labels.refiner.num_members={members}"),
            ).labels,
            usual,
        )
        for steps, members in ((2, 1), (2, 2), (4, 1))
    }
    two, more, longer = (found["float16"] for found in flops.values() if found is not None)
    assert more == pytest.approx(2 * two)
    assert longer == pytest.approx(2 * two)


def test_a_noise_draw_more_costs_a_pair_of_unet_evaluations() -> None:
    one, two, three = (
        recipe_flops(
            load_recipe("redepth-anything", (f"labels.refiner.noise_draws={count}",)).labels,
            ImageWork(392, 518),
        )
        for count in (1, 2, 3)
    )
    assert one is not None
    assert two is not None
    assert three is not None
    pairs = 10 * 1000 * 2 * PRIORS["stable-diffusion-v1-5"].unet_flops.at(512**2)
    assert two["float16"] - one["float16"] == pytest.approx(pairs)
    assert three["float16"] - two["float16"] == pytest.approx(pairs)
    assert one["float32"] == two["float32"]


def test_a_part_that_states_none_leaves_a_recipe_without() -> None:
    labels = load_recipe("coarse", ("labels.coarse.preset=marigold",)).labels
    assert recipe_flops(labels, usual_image(labels)) is None
    assert flops_of_images(labels, [(ImageWork(392, 518), 3)]) is None
    assert RefinerPart.__dataclass_fields__["flops"].default is None


def test_flops_of_many_images_are_those_of_each() -> None:
    labels = load_recipe("coarse").labels
    large, small = ImageWork(392, 518), ImageWork(252, 252)
    each = [recipe_flops(labels, image) for image in (large, small)]
    total = flops_of_images(labels, [(large, 3), (small, 1)])
    assert each[0] is not None and each[1] is not None and total is not None
    assert total["float32"] == pytest.approx(3 * each[0]["float32"] + each[1]["float32"])


def test_a_count_is_a_polynomial_in_pixels() -> None:
    assert FlopCount(5.0, 3.0, 2.0).at(10) == 5 + 30 + 200


def test_seconds_at_the_limit_add_up_dtype_by_dtype() -> None:
    limits = {"float16": 100.0, "float32": 50.0}
    assert seconds_at_limit({"float16": 300.0, "float32": 100.0}, limits) == pytest.approx(5.0)
    assert seconds_at_limit({}, limits) == 0.0
    assert seconds_at_limit({"bfloat16": 1.0}, limits) is None


def test_a_probe_costs_a_forward_at_its_own_size() -> None:
    image = ImageWork(64, 64)

    def flops(*settings: str) -> float:
        return sum(
            (recipe_flops(load_recipe("mini-coarse", settings).labels, image) or {}).values()
        )

    alone = flops()
    assert flops("labels.probes.texture=true") == alone
    assert flops("labels.probes.mirror=true") == pytest.approx(2 * alone)
    assert alone < flops("labels.probes.size_px=32") < 1.5 * alone
