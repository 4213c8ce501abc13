"""What a diffusion prior is made of, whether it was loaded or made."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


@dataclass(frozen=True, slots=True, eq=False)
class PriorParts:
    """The models a prior is made of, on the CPU, as the libraries give them.

    Attributes:
        vae: an AutoencoderKL; its decoder half is not used and may be missing.
        unet: a UNet2DConditionModel.
        text_encoder: a CLIPTextModel.
        tokenizer: its CLIPTokenizer.
        scheduler: a DDPMScheduler, for its noise schedule and prediction type.
    """

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDPMScheduler

    def state(self) -> dict[str, Tensor]:
        """Return every tensor of the three networks, by name."""
        networks = {"vae": self.vae, "unet": self.unet, "text_encoder": self.text_encoder}
        return {
            f"{name}.{key}": tensor
            for name, network in networks.items()
            for key, tensor in network.state_dict().items()
        }
