"""Count the FLOPs and parameters of the networks that redepth knows, into one table.

python -m scripts.count_flops redepth/flops/counted.py

Every network is built on PyTorch's meta device, where nothing is computed and no weights are
needed, and counted by its `FlopCounterMode` for squares of three sizes; the polynomial in the
number of pixels goes through all three. Takes some 20 s.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel, UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DPTConfig,
    DPTForDepthEstimation,
)

from benchmarks import architectures
from redepth.coarse.depth_anything.network import DepthAnythingDecoder
from redepth.coarse.pyramid.model import PyramidConfig, PyramidForDepthEstimation
from redepth.flops import FlopCount
from redepth.training.distilled.network import new_network
from redepth.training.distilled.settings import Network

MINI = Path(__file__).resolve().parents[1] / "redepth" / "models" / "mini"
EMPTY_PROMPT, WHOLE_PROMPT = 2, 77  # tokens that a UNet attends to
HEAD = '''"""FLOPs and parameters of networks. Written by make docs; do not edit."""

from redepth.flops import FlopCount

'''


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a network: what runs it on a square, and the squares that it is counted on."""

    run: Callable[[int], Any]
    sides_px: tuple[int, ...]


def count(run: Callable[[], Any]) -> int:
    """Return the FLOPs of what a call computes on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        run()
    return int(counter.get_total_flops())


def fit(counted: Pass) -> FlopCount:
    """Return the polynomial through the counts; a constant where there is one size alone."""
    flops = [count(partial(counted.run, side)) for side in counted.sides_px]
    if len(flops) == 1:
        return FlopCount(float(flops[0]), 0.0, 0.0)
    num_px = np.array([side**2 for side in counted.sides_px], dtype=np.float64)
    per_px2, per_px, fixed = np.polyfit(num_px, np.array(flops, dtype=np.float64), deg=2)
    return FlopCount(round(float(fixed)), float(per_px), round(float(per_px2), 6))


def passes() -> Iterator[tuple[str, Pass]]:
    """Yield the name of each constant, and what is counted for it."""
    patches_px = (14 * 18, 14 * 36, 14 * 72)
    for size in architectures.DEPTH_ANYTHING_SIZES:
        model = on_meta(partial(architectures.depth_anything, size))
        name = f"DEPTH_ANYTHING_{size.upper()}"
        yield name, Pass(picture_of(model), patches_px)
        yield f"{name}_DECODER", Pass(decoder_of(model, 14), patches_px)
    model = on_meta(architectures.dpt_large)
    yield "DPT_LARGE", Pass(picture_of(model), (256, 384, 512))
    yield "DEPTH_PRO", Pass(picture_of(on_meta(architectures.depth_pro)), (1536,))
    yield from diffusion_passes()
    yield from mini_passes()


def diffusion_passes() -> Iterator[tuple[str, Pass]]:
    """Yield those of Stable Diffusion's VAE and of the UNets behind it."""
    sides_px = (256, 512, 768)
    vae = on_meta(architectures.stable_diffusion_vae)
    yield "STABLE_DIFFUSION_ENCODER", Pass(encoder_of(vae), sides_px)
    yield "STABLE_DIFFUSION_DECODER", Pass(decode_of(vae), sides_px)
    yield "TAESD_ENCODER", Pass(encoder_of(on_meta(AutoencoderTiny)), sides_px)
    unet = on_meta(architectures.stable_diffusion_unet)
    yield "STABLE_DIFFUSION_UNET", Pass(unet_of(unet, 8, WHOLE_PROMPT), sides_px)
    unet = on_meta(lambda: architectures.latent_depth_unet(3))
    yield "LATENT_DEPTH_UNET", Pass(unet_of(unet, 8, EMPTY_PROMPT), sides_px)
    student = on_meta(lambda: new_network(Network(), 0))
    yield "DISTILLED_UNET", Pass(student_of(student), sides_px)


def mini_passes() -> Iterator[tuple[str, Pass]]:
    """Yield those of the models that come with redepth, by their own configurations."""
    sides_px = (32, 64, 96)
    config = DepthAnythingConfig.from_pretrained(MINI / "depth")
    model = on_meta(lambda: DepthAnythingForDepthEstimation(config))
    yield "MINI", Pass(picture_of(model), sides_px)
    yield "MINI_DECODER", Pass(decoder_of(model, int(config.patch_size)), sides_px)
    dpt = DPTConfig.from_pretrained(MINI / "dpt")
    yield "MINI_DPT", Pass(picture_of(on_meta(lambda: DPTForDepthEstimation(dpt))), sides_px)
    photo = on_meta(lambda: PyramidForDepthEstimation(PyramidConfig()))
    # It looks at each picture twice: as it is, and mirrored.
    yield "MINI_PHOTO", Pass(lambda side: photo(torch.zeros(2, 3, side, side)), sides_px)
    trained = {"prior": 32, "betterdepth": EMPTY_PROMPT, "sharpdepth": EMPTY_PROMPT}
    for name, tokens in trained.items():
        vae = on_meta(partial(configured, AutoencoderKL, MINI / name / "vae"))
        unet = on_meta(partial(configured, UNet2DConditionModel, MINI / name / "unet"))
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        yield f"MINI_{name.upper()}_ENCODER", Pass(encoder_of(vae), sides_px)
        yield f"MINI_{name.upper()}_UNET", Pass(unet_of(unet, factor, tokens), sides_px)
        yield f"MINI_{name.upper()}_DECODER", Pass(decode_of(vae), sides_px)
    tiny = on_meta(partial(configured, AutoencoderTiny, MINI / "encoder"))
    yield "MINI_TINY_ENCODER", Pass(encoder_of(tiny), sides_px)
    student = on_meta(partial(configured, UNet2DModel, MINI / "distilled" / "unet"))
    yield "MINI_DISTILLED_UNET", Pass(student_of(student), sides_px)


def parameters() -> Iterator[tuple[str, int]]:
    """Yield the name of each constant, and the parameters that its repository publishes."""
    for size in architectures.DEPTH_ANYTHING_SIZES:
        model = on_meta(partial(architectures.depth_anything, size))
        yield f"DEPTH_ANYTHING_{size.upper()}", parameters_of(model)
    yield "DPT_LARGE", parameters_of(on_meta(architectures.dpt_large))
    yield "DEPTH_PRO", parameters_of(on_meta(architectures.depth_pro))
    vae = on_meta(architectures.stable_diffusion_vae)
    unet = on_meta(architectures.stable_diffusion_unet)
    text = on_meta(architectures.clip_text_encoder)
    yield "STABLE_DIFFUSION", parameters_of(vae, unet, text)
    yield "TAESD", parameters_of(on_meta(AutoencoderTiny))
    unet = on_meta(lambda: architectures.latent_depth_unet(2, has_task=True))
    text = on_meta(lambda: architectures.clip_text_encoder(1024, 23))
    yield "LOTUS", parameters_of(vae, unet, text)


def parameters_of(*networks: nn.Module) -> int:
    """Return how many parameters networks have together."""
    return sum(one.numel() for network in networks for one in network.parameters())


def on_meta(build: Callable[[], Any]) -> Any:
    """Build a network that has shapes and no weights."""
    with torch.device("meta"):
        return build().eval()


def configured(network: Any, folder: Path) -> Any:
    """Build a network of diffusers from the configuration in its folder."""
    return network.from_config(network.load_config(folder))


def picture_of(model: nn.Module) -> Callable[[int], Any]:
    """Show a depth network a square."""
    return lambda side: model(torch.zeros(1, 3, side, side))


def decoder_of(model: Any, patch_px: int) -> Callable[[int], Any]:
    """Show the neck and head of a Depth Anything the tokens of a square."""
    decoder = DepthAnythingDecoder(model.neck, model.head)
    width = int(model.config.backbone_config.hidden_size)

    def run(side: int) -> Any:
        grid = side // patch_px
        patches = [torch.zeros(1, grid**2, width) for _ in range(4)]
        return decoder(patches, [torch.zeros(1, 1, width)] * 4, (grid, grid))

    return run


def encoder_of(vae: Any) -> Callable[[int], Any]:
    """Encode a square."""
    return lambda side: vae.encode(torch.zeros(1, 3, side, side))


def decode_of(vae: Any) -> Callable[[int], Any]:
    """Decode the latents of a square."""
    channels = int(vae.config.latent_channels)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return lambda side: vae.decode(torch.zeros(1, channels, side // factor, side // factor))


def unet_of(unet: Any, factor: int, num_tokens: int) -> Callable[[int], Any]:
    """Denoise the latents of a square."""
    channels, width = int(unet.config.in_channels), int(unet.config.cross_attention_dim)
    task = unet.config.projection_class_embeddings_input_dim

    def run(side: int) -> Any:
        latents = torch.zeros(1, channels, side // factor, side // factor)
        given = {} if task is None else {"class_labels": torch.zeros(1, task)}
        prompt = torch.zeros(1, num_tokens, width)
        return unet(latents, torch.zeros(1), encoder_hidden_states=prompt, **given)

    return run


def student_of(unet: Any) -> Callable[[int], Any]:
    """Show a student a square and its coarse map."""
    channels = int(unet.config.in_channels)
    patch_px = math.isqrt(int(unet.config.out_channels))
    return lambda side: unet(torch.zeros(1, channels, side // patch_px, side // patch_px), 0)


def table() -> str:
    """Return the module: a constant a pass."""
    lines = [f"{name} = {written(fit(counted))}\n" for name, counted in passes()]
    lines += [f"{name}_PARAMETERS = {number:_}\n" for name, number in parameters()]
    return HEAD + "".join(lines)


def written(flops: FlopCount) -> str:
    """Write a polynomial with five digits, which is more than it is worth."""
    values = (flops.fixed, flops.per_px, flops.per_px2)
    return f"FlopCount({', '.join(f'{number(value)}' for value in values)})"


def number(value: float) -> str:
    """Write a number as the formatter leaves it."""
    return f"{value + 0.0:.5g}".replace("e+", "e")


def main() -> None:
    """Run the command line: one argument, the module."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.count_flops redepth/flops/counted.py")
    Path(sys.argv[1]).write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()
