"""The widened input convolution: what it must leave unchanged, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from redepth.errors import ConfigError
from redepth.refiners.latents.conditioning import expand_input

CHANNELS = 4


def tiny_unet(seed: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        block_out_channels=(16,),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=2,
    ).eval()


@pytest.mark.parametrize("copies", [2, 3])
@torch.no_grad()
def test_shown_copies_side_by_side_it_gives_what_it_gave(copies: int) -> None:
    narrow, wide = tiny_unet(), expand_input(tiny_unet(), copies * CHANNELS)
    latents, prompt = torch.randn(2, CHANNELS, 8, 8), torch.randn(2, 3, 8)
    before = narrow(latents, 7, encoder_hidden_states=prompt).sample
    after = wide(latents.repeat(1, copies, 1, 1), 7, encoder_hidden_states=prompt).sample
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    assert wide.config.in_channels == wide.conv_in.in_channels == copies * CHANNELS


@torch.no_grad()
def test_from_eight_channels_the_picture_keeps_its_place() -> None:
    torch.manual_seed(1)
    marigold = expand_input(tiny_unet(), 2 * CHANNELS)
    torch.nn.init.normal_(marigold.conv_in.weight)
    picture, noisy = torch.randn(2, 2, CHANNELS, 8, 8)
    prompt = torch.randn(2, 3, 8)
    before = marigold(torch.cat((picture, noisy), 1), 7, encoder_hidden_states=prompt).sample
    wide = expand_input(marigold, 3 * CHANNELS)
    after = wide(torch.cat((picture, noisy, noisy), 1), 7, encoder_hidden_states=prompt).sample
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    swapped = wide(torch.cat((noisy, picture, noisy), 1), 7, encoder_hidden_states=prompt).sample
    assert not torch.allclose(swapped, before, atol=1e-2)


def test_weights_are_divided_and_the_bias_is_kept() -> None:
    narrow, wide = tiny_unet(), expand_input(tiny_unet(), 3 * CHANNELS)
    for part in wide.conv_in.weight.split(CHANNELS, dim=1):
        torch.testing.assert_close(part, narrow.conv_in.weight / 3)
    torch.testing.assert_close(wide.conv_in.bias, narrow.conv_in.bias)


def test_a_widened_unet_is_saved_and_loaded_wide(tmp_path: Path) -> None:
    expand_input(tiny_unet(), 3 * CHANNELS).save_pretrained(tmp_path)
    loaded = UNet2DConditionModel.from_pretrained(tmp_path)
    assert loaded.conv_in.in_channels == 3 * CHANNELS


def test_as_wide_as_asked_for_is_left_alone() -> None:
    unet = tiny_unet()
    weight = unet.conv_in.weight
    assert expand_input(unet, CHANNELS).conv_in.weight is weight


@pytest.mark.parametrize("num_channels", [2, 9])
def test_what_is_no_multiple_is_refused(num_channels: int) -> None:
    with pytest.raises(ConfigError, match=r"4 input channels cannot be widened"):
        expand_input(tiny_unet(), num_channels)
