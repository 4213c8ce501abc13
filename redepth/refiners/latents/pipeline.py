"""What the pipelines of trained refiners share: their parts, the empty prompt, sizes of latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.refiners.latents.codec import DepthCodec
from redepth.types import ByteImage, FloatMap


class LatentDepthPipeline(DiffusionPipeline):  # type: ignore[misc] # diffusers is untyped
    """A diffusion model whose latents are depth maps, conditioned on a picture and no prompt.

    The folder that `save_pretrained` writes is laid out as Stable Diffusion's, Marigold's and
    Lotus-G's are: vae/, unet/, text_encoder/, tokenizer/, scheduler/ and model_index.json.
    """

    _optional_components = ("text_encoder", "tokenizer")

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: DDIMScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
        )
        self._empty_1lc: Tensor | None = None

    @property
    def codec(self) -> DepthCodec:
        """Pictures and maps to latents and back, through the pipeline's VAE."""
        return DepthCodec(self.vae)

    def latent_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """Return (channels, height, width) of the latents of a map: sides rounded up."""
        codec = self.codec
        return codec.num_channels, -(-height_px // codec.factor), -(-width_px // codec.factor)

    def empty_prompt(self) -> Tensor:
        """Return the states of the empty prompt [1, L, C], as the UNet takes them."""
        if self._empty_1lc is None:
            self._empty_1lc = embed_empty_prompt(self.text_encoder, self.tokenizer)
        return self._empty_1lc.to(self.unet.device, self.unet.dtype)

    def drop_text_encoder(self) -> None:
        """Embed the empty prompt, and free the text encoder: nothing else needs it."""
        self.empty_prompt()
        self.register_modules(text_encoder=None, tokenizer=None)

    def _draw(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        """Draw standard normal noise where the generator is; on the CPU without one."""
        device = torch.device("cpu") if generator is None else generator.device
        return torch.randn(shape, generator=generator, device=device)


def on_device(
    rgbs_hw3: Sequence[ByteImage], maps_hw: Sequence[FloatMap], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return pictures in [-1, 1], [B, 3, H, W], and their maps [B, H, W], on a device.

    Raises:
        ValueError: a picture and its map differ in size, or the pictures do.
    """
    for rgb_hw3, map_hw in zip(rgbs_hw3, maps_hw, strict=True):
        if rgb_hw3.shape != (*map_hw.shape, 3):
            raise ValueError(
                f"the picture is {rgb_hw3.shape}, expected (H, W, 3) of the map's size "
                f"{map_hw.shape}: resize one of them"
            )
    image_bhw3 = torch.from_numpy(np.stack(rgbs_hw3)).to(device) / 127.5 - 1.0
    map_bhw = torch.from_numpy(np.stack(maps_hw).astype(np.float32)).to(device)
    return image_bhw3.permute(0, 3, 1, 2).contiguous(), map_bhw


def rgb_of(image: Image.Image | ByteImage) -> ByteImage:
    """Return a picture as uint8 [H, W, 3]."""
    return np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)


def batches(count: int, size: int | None) -> Iterator[slice]:
    """Yield slices that cut `count` members into groups of a size; one group if it is None."""
    step = size or count
    for first in range(0, count, step):
        yield slice(first, first + step)


def by_image(maps_bhw: Tensor, num_members: int) -> Tensor:
    """Return maps of members that follow each other, [B * E, H, W], as [B, E, H, W]."""
    return maps_bhw.view(-1, num_members, *maps_bhw.shape[-2:])


@torch.no_grad()
def embed_empty_prompt(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> Tensor:
    """Return the text encoder's states of the empty prompt, float32 [1, L, C]; L is 2 for CLIP.

    Source: Marigold, which does not pad the empty prompt.
    """
    tokens = tokenizer("", padding="do_not_pad", truncation=True, return_tensors="pt")
    states: Tensor = text_encoder(tokens.input_ids.to(text_encoder.device)).last_hidden_state
    return states.float()
