"""A small pyramid of depthwise convolutions with attention at its top, trained from nothing.

Source of the blocks: ConvNeXt, https://arxiv.org/abs/2201.03545, narrower, and with ReLU.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from redepth.settings import Settings

MULTIPLE_PX = 16
CONFIG_FILE = "config.json"
_EXPANSION = 2
_HEADS = 4


class PyramidConfig(Settings):
    """Channels after each halving of the sides, and blocks at the last three of these sizes."""

    widths: tuple[int, int, int, int] = (16, 32, 64, 128)
    depths: tuple[int, int, int] = (1, 2, 4)


class Block(nn.Module):
    """Depthwise 5 x 5, then a layer of twice the channels; added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, _EXPANSION * width)
        self.narrow = nn.Linear(_EXPANSION * width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape [B, C, H, W]."""
        spread = self.norm(_channels_last(self.spread(features)))
        inner = self.narrow(functional.relu(self.widen(spread)))
        return features + _channels_first(inner)


class Attention(nn.Module):
    """Every place asks every other: what is far away decides what a place means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape [B, C, H, W]."""
        batch, width, height, length = features.shape
        tokens = _channels_last(features).reshape(batch, -1, width)
        asked = self.ask(self.norm(tokens)).view(batch, -1, 3, _HEADS, width // _HEADS)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(query, key, value)
        heard = self.answer(heard.transpose(1, 2).reshape(batch, height, length, width))
        return features + _channels_first(heard)


class Mix(nn.Module):
    """Bring each place to other channels."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)

    def forward(self, features: Tensor) -> Tensor:
        """Return [B, out, H, W] of [B, C, H, W]."""
        return _channels_first(self.linear(_channels_last(features)))


class Down(nn.Module):
    """Halve the sides."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(out)

    def forward(self, features: Tensor) -> Tensor:
        """Return [B, out, H / 2, W / 2] of [B, C, H, W]."""
        return _channels_first(self.norm(_channels_last(self.conv(features))))


class PyramidForDepthEstimation(nn.Module):
    """Pictures to affine-invariant disparity.

    The place of each pixel, x and y from -1 to 1, is two more channels: what is low in a picture is
    mostly near.
    """

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        first, fine, middle, top = config.widths
        fine_blocks, middle_blocks, top_blocks = config.depths
        self.stem = nn.Conv2d(5, first, 3, stride=2, padding=1)
        self.down = nn.ModuleList(
            Down(a, b) for a, b in ((first, fine), (fine, middle), (middle, top))
        )
        self.fine = _blocks(fine, fine_blocks)
        self.middle = _blocks(middle, middle_blocks)
        self.top = nn.Sequential(
            *(nn.Sequential(Block(top), Attention(top)) for _ in range(top_blocks))
        )
        self.to_middle = Mix(top, middle)
        self.up_middle = Block(middle)
        self.to_fine = Mix(middle, fine)
        self.up_fine = Block(fine)
        self.to_first = Mix(fine, first)
        self.up_first = nn.Conv2d(first, first, 3, padding=1)
        self.head = nn.Conv2d(first, 4, 3, padding=1)

    def forward(self, rgb_b3hw: Tensor) -> Tensor:
        """Return disparity up to scale and shift, float32 [B, H, W] > 0.

        Args:
            rgb_b3hw: float32 [B, 3, H, W] in [0, 1], sRGB; H and W multiples of 16.
        """
        shown = torch.cat((rgb_b3hw * 4.0 - 2.0, _places(rgb_b3hw)), dim=1)
        shown = shown.contiguous(memory_format=torch.channels_last)
        first = functional.relu(self.stem(shown))
        fine = self.fine(self.down[0](first))
        middle = self.middle(self.down[1](fine))
        top = self.top(self.down[2](middle))
        middle = self.up_middle(middle + _doubled(self.to_middle(top)))
        fine = self.up_fine(fine + _doubled(self.to_fine(middle)))
        first = first + _doubled(self.to_first(fine))
        first = functional.relu(self.up_first(first))
        return functional.softplus(functional.pixel_shuffle(self.head(first), 2)[:, 0])


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))


def _channels_last(features: Tensor) -> Tensor:
    """Return [B, H, W, C]: a view, no copy, as memory has them in this order already."""
    return features.permute(0, 2, 3, 1)


def _channels_first(features: Tensor) -> Tensor:
    return features.permute(0, 3, 1, 2)


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def _places(rgb_b3hw: Tensor) -> Tensor:
    batch, _, height, width = rgb_b3hw.shape
    y, x = (
        (torch.arange(count, device=rgb_b3hw.device, dtype=rgb_b3hw.dtype) + 0.5) * (2.0 / count)
        - 1.0
        for count in (height, width)
    )
    place_hw = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    return place_hw.expand(batch, 2, height, width)


def write_pyramid(model: PyramidForDepthEstimation, folder: Path, weights_name: str) -> None:
    """Write a network into a folder: its config, and its weights under a name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(model.config.model_dump_json(indent=2) + "\n")
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / weights_name)


def read_pyramid(folder: Path, weights: Path) -> PyramidForDepthEstimation:
    """Read what `write_pyramid` wrote, float32 on the CPU.

    No memory is taken for what a config says but for the weights that there are.

    Raises:
        OSError, ValueError: a file cannot be read, or the config is none.
        RuntimeError: the weights are not those of the config, or not whole.
    """
    config = PyramidConfig.model_validate(json.loads((folder / CONFIG_FILE).read_text()))
    with torch.device("meta"):
        model = PyramidForDepthEstimation(config)
    model.load_state_dict(load_file(weights), assign=True)
    return model.float()


def new_pyramid(seed: int) -> PyramidForDepthEstimation:
    """Return the network with weights from a seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PyramidForDepthEstimation(PyramidConfig())
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
