"""Gates: between 0 and 1, unmoved by stray pixels, and what they let through."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from redepth.refiners.latents.normalisation import minmax
from redepth.refiners.sharpdepth.gating import GateNormaliser, Gating, blend, latent_gate
from redepth.refiners.sharpdepth.one_step import OneStepDenoiser

RULES = [Gating(normaliser=rule) for rule in GateNormaliser]


@pytest.mark.parametrize("gating", RULES)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100.0))
def test_a_gate_lies_in_0_1_and_does_not_see_the_unit(
    gating: Gating, seed: int, scale: float
) -> None:
    maps = torch.randn(2, 1, 12, 16, generator=torch.Generator().manual_seed(seed))
    gate = gating.gate(maps[0], maps[1])
    assert gate.min() >= 0.0
    assert gate.max() == pytest.approx(1.0)
    torch.testing.assert_close(gating.gate(maps[0] * scale, maps[1] * scale), gate)


@pytest.mark.parametrize("gating", RULES)
def test_equal_maps_agree(gating: Gating) -> None:
    map_bhw = torch.rand(1, 8, 8)
    assert (gating.gate(map_bhw, map_bhw) == 0.0).all()


def test_one_stray_pixel_weakens_the_released_gate_alone() -> None:
    metric = torch.zeros(1, 16, 16)
    sharp = torch.zeros(1, 16, 16)
    sharp[:, :4] = 1.0  # a quarter of the pixels differs
    stray = sharp.clone()
    stray[0, 15, 15] = 10.0
    released, robust = RULES[0], RULES[1]
    assert robust.gate(stray, metric)[0, 0, 0] == pytest.approx(1.0)
    assert released.gate(sharp, metric)[0, 0, 0] == pytest.approx(1.0)
    assert released.gate(stray, metric)[0, 0, 0] == pytest.approx(0.1)


def test_a_latent_takes_the_pixel_at_its_upper_left() -> None:
    gate_bhw = torch.arange(64.0).view(1, 8, 8)
    assert latent_gate(gate_bhw, 4).flatten().tolist() == [0.0, 4.0, 32.0, 36.0]


def test_mixing_keeps_one_where_the_gate_is_shut() -> None:
    gate = torch.tensor([0.0, 1.0, 0.25]).view(1, 1, 1, 3)
    mixed = blend(gate, torch.full((1, 2, 1, 3), 8.0), torch.zeros(1, 2, 1, 3))
    assert mixed[0, 0, 0].tolist() == [0.0, 8.0, 2.0]


def test_a_flat_map_has_a_frame() -> None:
    flat = torch.full((1, 4, 4), 3.0)
    frame = minmax(flat)
    assert (frame.normalise(flat) == 0.0).all()
    assert (frame.denormalise(frame.normalise(flat)) == 3.0).all()


def test_the_task_is_sines_and_cosines_of_1_0() -> None:
    """Lotus-G's embedding of "depth"."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=4, in_channels=8, out_channels=4, block_out_channels=(8, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=8, attention_head_dim=2,
        class_embed_type="projection", projection_class_embeddings_input_dim=4,
    )  # fmt: skip
    denoiser = OneStepDenoiser(unet, torch.zeros(1, 2, 8), last_timestep=999)
    expected = torch.tensor([0.841471, 0.0, 0.540302, 1.0])
    torch.testing.assert_close(denoiser.task_1c[0], expected, rtol=1e-5, atol=1e-6)
    latents = torch.zeros(3, 4, 4, 4)
    assert denoiser(latents, latents).shape == (3, 4, 4, 4)
