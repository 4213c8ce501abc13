"""Re-Depth Anything on real, tiny architectures with seeded weights."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.reference_redepth import reference_member
from redepth.coarse.estimator import DepthDecoder, TokenDepthEstimator, load_token_estimator
from redepth.coarse.part import Coarse
from redepth.errors import RefinementFailed
from redepth.refiners.draws import generator
from redepth.refiners.redepth_anything import EarlyStop, Prior, ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.refiners.redepth_anything.draws import DrawShape, StepDraws, draw_block, draw_step
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.redepth_anything.step import StepLoss
from redepth.refiners.refiner import RefinementInput
from redepth.settings import Compute, Weights
from redepth.types import ByteImage, Members

CPU = torch.device("cpu")
SEEDED = Weights(seed=0)
SETTINGS = ReDepthAnything(prior=Prior(preset="mini", weights=SEEDED), num_members=2, num_steps=3)


@pytest.fixture(scope="module")
def estimator() -> TokenDepthEstimator:
    torch.set_num_threads(1)
    return load_token_estimator(Coarse(preset="mini", weights=SEEDED, size_px=56), CPU)


@pytest.fixture(scope="module")
def prior() -> DiffusionPrior:
    return load_prior(SETTINGS.prior, Compute(), CPU)


@pytest.fixture(scope="module")
def picture() -> ByteImage:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (40, 56, 3), dtype=np.uint8)


class Bench:
    """Refine the picture with some settings changed."""

    def __init__(
        self, estimator: TokenDepthEstimator, prior: DiffusionPrior, picture: ByteImage
    ) -> None:
        self.estimator, self.prior, self.picture = estimator, prior, picture
        self.coarse = estimator.estimate(picture)

    def refine(self, image_id: str = "a", seed: int = 0, /, **changes: object) -> Members:
        settings = SETTINGS.model_copy(update=changes)
        refiner = ReDepthAnythingRefiner(settings, seed, self.estimator, self.prior, None, CPU)
        return refiner.refine(RefinementInput(image_id, self.picture, self.coarse, "a photograph"))


@pytest.fixture(scope="module")
def bench(estimator: TokenDepthEstimator, prior: DiffusionPrior, picture: ByteImage) -> Bench:
    return Bench(estimator, prior, picture)


def test_no_step_leaves_the_prediction_untouched(bench: Bench) -> None:
    members = bench.refine(num_steps=0)
    assert members.maps_ehw.shape == (2, 40, 56)
    assert np.array_equal(members.maps_ehw[0], bench.coarse.map_hw)
    assert members.scale_offsets == (0.0, 0.0)


def test_steps_move_the_map_and_the_scale_offset(bench: Bench) -> None:
    members = bench.refine()
    assert not np.allclose(members.maps_ehw[0], bench.coarse.map_hw, atol=1e-6)
    assert not np.array_equal(members.maps_ehw[0], members.maps_ehw[1])
    assert all(offset != 0.0 for offset in members.scale_offsets)


def test_same_place_same_bytes_and_another_place_others(bench: Bench) -> None:
    first = bench.refine().maps_ehw
    torch.manual_seed(999)
    torch.randn(100)
    assert np.array_equal(bench.refine().maps_ehw, first)
    assert not np.array_equal(bench.refine("b").maps_ehw, first)
    assert not np.array_equal(bench.refine("a", 1).maps_ehw, first)


def test_global_generator_is_left_alone(bench: Bench) -> None:
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    bench.refine()
    assert torch.equal(torch.randn(3), expected)


def test_a_member_does_not_depend_on_how_many_there_are(bench: Bench) -> None:
    two, three = bench.refine().maps_ehw, bench.refine(num_members=3).maps_ehw
    assert np.array_equal(three[:2], two)


def test_members_in_one_batch_agree_with_members_one_by_one(bench: Bench) -> None:
    """Losses are summed: batching must not change what Adam sees (rounding apart)."""
    alone = bench.refine(num_steps=1).maps_ehw
    together = bench.refine(num_steps=1, members_per_batch=2).maps_ehw
    moved = np.abs(alone - bench.coarse.map_hw).max()
    assert moved > 1e-4
    assert np.abs(alone - together).max() < 1e-2 * moved


def test_agrees_with_the_plain_reference_loop(bench: Bench) -> None:
    members = bench.refine()
    for number in range(2):
        expected = reference_member(
            bench.estimator, bench.prior, bench.picture, "a photograph", SETTINGS, (0, "a", number)
        )
        moved = np.abs(expected - bench.coarse.map_hw).max()
        assert np.abs(members.maps_ehw[number] - expected).max() < 1e-3 * moved


def test_several_noise_draws_give_the_mean_of_their_gradients(bench: Bench) -> None:
    """The gradient that reaches a map is linear in what the prior says of the latents."""
    settings = SETTINGS.model_copy(update={"noise_draws": 3, "smoothness_weight": 0.0})
    loss = StepLoss(settings, bench.estimator.rendering, bench.estimator.kind, bench.prior)
    refiner = ReDepthAnythingRefiner(settings, 0, bench.estimator, bench.prior, None, CPU)
    scene = RefinementInput("a", bench.picture, bench.coarse, "a photograph")
    shape = DrawShape(bench.prior.latent_shape, bench.prior.num_timesteps)
    generators = [generator(0, "a", member, 0) for member in range(2)]
    draws = draw_step(generators, settings, shape, CPU)
    raw = torch.from_numpy(bench.coarse.map_hw).repeat(2, 1, 1).requires_grad_()

    def gradient(of: StepDraws) -> torch.Tensor:
        target = refiner.judged_image(scene)
        total = loss(raw, torch.zeros(2), of, target).sum()
        return torch.autograd.grad(total, raw)[0]

    alone = [
        replace(draws, noise_bkchw=draws.noise_bkchw[:, k : k + 1],
                timesteps_bk=draws.timesteps_bk[:, k : k + 1])
        for k in range(3)
    ]  # fmt: skip
    expected = torch.stack([gradient(one) for one in alone]).mean(dim=0)
    error = (gradient(draws) - expected).abs().max() / expected.abs().max()
    assert error < 1e-4
    assert (gradient(alone[0]) - expected).abs().max() / expected.abs().max() > 0.1


def test_several_noise_draws_refine(bench: Bench) -> None:
    one, three = bench.refine().maps_ehw, bench.refine(noise_draws=3).maps_ehw
    assert not np.array_equal(one, three)


def test_without_learning_rates_nothing_moves(bench: Bench) -> None:
    members = bench.refine(
        token_learning_rate=0.0, decoder_learning_rate=0.0, scale_learning_rate=0.0
    )
    assert np.array_equal(members.maps_ehw[0], bench.coarse.map_hw)


@pytest.mark.parametrize("frozen", ["token", "decoder", "scale"])
def test_each_group_has_its_own_learning_rate(bench: Bench, frozen: str) -> None:
    both = bench.refine(num_members=1, num_steps=1, decoder_learning_rate=1e-3)
    without = bench.refine(
        num_members=1,
        num_steps=1,
        **{"decoder_learning_rate": 1e-3, f"{frozen}_learning_rate": 0.0},
    )
    if frozen == "scale":
        assert without.scale_offsets == (0.0,)
        assert both.scale_offsets != (0.0,)
    else:
        assert not np.array_equal(both.maps_ehw, without.maps_ehw)


def test_every_member_diverging_is_a_named_failure(bench: Bench) -> None:
    with pytest.raises(RefinementFailed, match=r"member 0: .* at step 1; member 1"):
        bench.refine(token_learning_rate=float("inf"))


def test_one_diverging_member_is_stopped_and_the_other_comes_through(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = bench.refine().maps_ehw[1]
    original = bench.estimator.new_decoder
    made: list[DepthDecoder] = []

    def first_one_broken() -> DepthDecoder:
        decoder = original()
        if not made:
            with torch.no_grad():
                next(iter(decoder.parameters())).fill_(float("nan"))
        made.append(decoder)
        return decoder

    monkeypatch.setattr(bench.estimator, "new_decoder", first_one_broken, raising=False)
    members = bench.refine(members_per_batch=2, num_steps=3)
    assert len(members.maps_ehw) == 1
    assert members.stopped == ("member 0: loss is nan at step 0",)
    assert np.abs(members.maps_ehw[0] - expected).max() < 1e-2


# --- steps


def test_all_steps_are_taken_by_default(bench: Bench) -> None:
    members = bench.refine()
    assert (members.num_steps, members.steps_ended) == (3, None)


def test_members_that_have_slowed_down_end_early(bench: Bench) -> None:
    """Without a prior, smoothing comes to rest: the steps before are those of a shorter run."""
    rule = EarlyStop(every=2, slowed_to=1.0)
    smoothing: dict[str, object] = {"score_weight": 0.0, "num_members": 1}
    members = bench.refine(**smoothing, num_steps=200, early_stop=rule)
    assert members.num_steps is not None
    assert members.num_steps < 200
    assert members.num_steps % 2 == 0
    assert members.steps_ended == "in 2 steps the maps moved less than 1 of the most before"
    shorter = bench.refine(**smoothing, num_steps=members.num_steps)
    assert np.array_equal(members.maps_ehw, shorter.maps_ehw)


def test_members_that_move_take_all_steps(bench: Bench) -> None:
    members = bench.refine(num_steps=5, early_stop=EarlyStop(every=2, slowed_to=1e-9))
    assert (members.num_steps, members.steps_ended) == (5, None)
    assert np.array_equal(members.maps_ehw, bench.refine(num_steps=5).maps_ehw)


def test_a_member_ends_for_itself_whoever_shares_its_step(bench: Bench) -> None:
    """One of two members ends: the other goes on, and both are what they are one by one."""
    coarse = bench.coarse.map_hw
    maps = [coarse[None], *(bench.refine(num_steps=n).maps_ehw for n in (2, 4))]
    first, second = (np.abs(b - a).mean(axis=(1, 2)) for a, b in pairwise(maps))
    rule = EarlyStop(every=2, slowed_to=min(1.0, float(np.mean(second / first))))
    alone = bench.refine(num_steps=6, early_stop=rule)
    together = bench.refine(num_steps=6, early_stop=rule, members_per_batch=2)
    assert alone.num_steps == together.num_steps
    change = np.abs(alone.maps_ehw - coarse).max()
    assert np.abs(alone.maps_ehw - together.maps_ehw).max() < 0.05 * change


class TestDraws:
    shape = DrawShape((4, 8, 8), 1000)

    def draw(self, number: int, **changes: object) -> torch.Tensor:
        settings = SETTINGS.model_copy(update=changes)
        generators = [generator(0, "a", 0, step) for step in range(number)]
        self.draws = draw_step(generators, settings, self.shape, CPU)
        return self.draws.timesteps_bk[:, 0]

    def test_ranges_are_the_papers(self) -> None:
        timesteps = self.draw(400)
        light = self.draws.light
        assert (int(timesteps.min()), int(timesteps.max())) >= (20, 560)
        assert int(timesteps.max()) <= 600
        exponents = set(torch.log2(light.shininess_b).round().int().tolist())
        assert exponents == {2, 3, 4, 5, 6, 7}
        assert torch.allclose(light.diffuse_b + light.specular_b, torch.ones(400))
        assert (light.direction_b3[:, 2] >= 3**-0.5 - 1e-6).all()
        assert torch.allclose(light.direction_b3.norm(dim=1), torch.ones(400))

    def test_noise_is_standard_normal_and_drawn_apart(self) -> None:
        self.draw(64)
        posterior, noise = self.draws.posterior_noise_bchw, self.draws.noise_bkchw[:, 0]
        for values in (posterior, noise):
            assert abs(values.mean().item()) < 0.02
            assert abs(values.std().item() - 1.0) < 0.02
        correlation = (posterior * noise).mean().item()
        assert abs(correlation) < 0.02

    def test_batch_does_not_change_a_draw(self) -> None:
        together = self.draw(4)
        noise = self.draws.noise_bkchw
        alone = draw_step([generator(0, "a", 0, 2)], SETTINGS, self.shape, CPU)
        assert torch.equal(alone.noise_bkchw[0], noise[2])
        assert torch.equal(alone.timesteps_bk[0, 0], together[2])

    def test_steps_drawn_in_one_block_are_those_drawn_one_by_one(self) -> None:
        def numbers() -> list[list[torch.Generator]]:
            return [[generator(0, "a", member, step) for member in (0, 3)] for step in range(3)]

        block = draw_block(numbers(), SETTINGS, self.shape, CPU)
        for step, generators in enumerate(numbers()):
            alone, together = draw_step(generators, SETTINGS, self.shape, CPU), block.step(step)
            assert torch.equal(alone.light.direction_b3, together.light.direction_b3)
            assert torch.equal(alone.light.diffuse_b, together.light.diffuse_b)
            assert torch.equal(alone.noise_bkchw, together.noise_bkchw)
            assert torch.equal(alone.posterior_noise_bchw, together.posterior_noise_bchw)
            assert torch.equal(alone.timesteps_bk, together.timesteps_bk)

    @pytest.mark.parametrize("count", [2, 3, 4])
    def test_several_noise_draws_have_a_part_of_the_timesteps_each(self, count: int) -> None:
        self.draw(300, noise_draws=count)
        timesteps, noise = self.draws.timesteps_bk, self.draws.noise_bkchw
        assert timesteps.shape == (300, count)
        width = 581 / count
        for part in range(count):
            low, high = int(timesteps[:, part].min()), int(timesteps[:, part].max())
            assert 20 + part * width - 1 <= low < 20 + (part + 0.1) * width
            assert 20 + (part + 0.9) * width < high < 20 + (part + 1) * width
        assert abs((noise[:, 0] * noise[:, 1]).mean().item()) < 0.02

    def test_no_part_of_the_timesteps_is_empty(self) -> None:
        timesteps = {"min_timestep": 0.1, "max_timestep": 0.101}
        self.draw(50, noise_draws=4, **timesteps)
        assert set(self.draws.timesteps_bk.flatten().tolist()) <= {100, 101}
