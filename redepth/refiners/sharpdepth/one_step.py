"""A UNet that goes from noise to a depth map in one step.

Source: Lotus-G (https://arxiv.org/abs/2409.18124): x0-prediction at the last timestep, and an
embedding that names the task, beside the time's.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

# The task "depth" is (1, 0); the UNet is shown the sines and cosines of both numbers.
_DEPTH_TASK = (1.0, 0.0)
TASK_CHANNELS = 2 * len(_DEPTH_TASK)
NUM_LATENTS = 2  # the picture's, and those that become the map's


class OneStepDenoiser(nn.Module):
    """The UNet with the empty prompt and the task; holds no other state."""

    def __init__(self, unet: UNet2DConditionModel, empty_1lc: Tensor, last_timestep: int) -> None:
        """Take the parts.

        Args:
            unet: of 2 C input channels, with a projected class embedding of 4 numbers.
            empty_1lc: the text encoder's states of the empty prompt.
            last_timestep: T - 1.
        """
        super().__init__()
        self.unet = unet
        self.last_timestep = last_timestep
        task = torch.tensor(_DEPTH_TASK)
        self.empty_1lc: Tensor
        self.task_1c: Tensor
        self.register_buffer("empty_1lc", empty_1lc.to(unet.dtype), persistent=False)
        embedded = torch.cat((task.sin(), task.cos()))[None].to(unet.device, unet.dtype)
        self.register_buffer("task_1c", embedded, persistent=False)

    def forward(self, picture_bchw: Tensor, latents_bchw: Tensor) -> Tensor:
        """Return the map's latents x0, float32 [B, C, h, w].

        Args:
            picture_bchw: float32, the picture's latents.
            latents_bchw: float32, noise or whatever stands in its place.
        """
        count = len(picture_bchw)
        shown = torch.cat((picture_bchw, latents_bchw), dim=1).to(self.unet.dtype)
        timesteps = torch.full((count,), self.last_timestep, device=shown.device)
        output = self.unet(
            shown,
            timesteps,
            encoder_hidden_states=self.empty_1lc.expand(count, -1, -1),
            class_labels=self.task_1c.expand(count, -1),
        )
        latents: Tensor = output.sample.float()
        return latents
