"""Re-Depth Anything as a research script would have it: one member, one loop, everything in sight.

Kept as plain as it can be, to compare results (tests/refiners) and speed (benchmarks/refiner.py)
with. Written from the method's formulas, on its own, on the same models.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from redepth.coarse.estimator import TokenDepthEstimator, TokenMaps
from redepth.refiners.draws import generator
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.draws import DrawShape, draw_step
from redepth.types import ByteImage, FloatMap


def reference_member(
    estimator: TokenDepthEstimator,
    prior: DiffusionPrior,
    rgb_hw3: ByteImage,
    prompt: str,
    settings: ReDepthAnything,
    place: tuple[int, str, int],
) -> FloatMap:
    """Optimise one member from scratch; `place` is (seed, image id, member). Returns [H, W]."""
    device = prior.alphas_cumprod.device
    tokens = estimator.estimate(rgb_hw3).features
    assert isinstance(tokens, TokenMaps)
    prompts = prior.embed([prompt, ""])
    image = torch.from_numpy(rgb_hw3).to(device).float().permute(2, 0, 1)[None] / 255
    linear = image**2.2
    patches = [t.clone().requires_grad_() for t in tokens.patch_tokens]
    decoder = estimator.new_decoder()
    offset = torch.zeros((), device=device, requires_grad=True)
    optimiser = torch.optim.AdamW(
        [
            {"params": patches, "lr": settings.token_learning_rate},
            {"params": list(decoder.parameters()), "lr": settings.decoder_learning_rate},
            {"params": [offset], "lr": settings.scale_learning_rate},
        ],
        weight_decay=settings.weight_decay,
    )
    shape = DrawShape(prior.latent_shape, prior.num_timesteps)
    for step in range(settings.num_steps):
        draws = draw_step([generator(*place, step)], settings, shape, device)
        raw = decoder(patches, tokens.class_tokens, tokens.grid_hw)
        depth = (estimator.rendering.scale + torch.tanh(offset)) / (
            raw + estimator.rendering.margin
        )
        height, width = depth.shape[1:]
        u = torch.linspace(-width / height, width / height, width, device=device)
        v = torch.linspace(1, -1, height, device=device)
        plane = torch.stack(torch.meshgrid(u, v, indexing="xy"))
        points = torch.cat([plane[None], depth[:, None]], dim=1)
        along_y, along_x = torch.gradient(points, dim=(2, 3))
        normal = torch.linalg.cross(along_y, along_x, dim=1)
        normal = normal / (normal.norm(dim=1, keepdim=True) + 1e-8)
        light = draws.light
        half = light.direction_b3 + torch.tensor([0.0, 0.0, 1.0], device=device)
        half = half / half.norm(dim=1, keepdim=True)
        lambert = (normal * light.direction_b3[:, :, None, None]).sum(1, keepdim=True).clamp(min=0)
        lobe = (normal * half[:, :, None, None]).sum(1, keepdim=True).clamp(min=0)
        lit = light.diffuse_b * lambert * linear + light.specular_b * lobe**light.shininess_b
        lit = (lit.clamp(1e-3, 1) ** (1 / 2.2)).clamp(0, 1)
        size = prior.size_px
        ratio = min(size / height, size / width)
        rows, columns = round(height * ratio), round(width * ratio)
        lit = functional.interpolate(lit, (rows, columns), mode="bilinear", align_corners=True)
        top, left = (size - rows) // 2, (size - columns) // 2
        lit = functional.pad(lit, (left, size - columns - left, top, size - rows - top))
        latents = prior.encode(lit * 2 - 1, draws.posterior_noise_bchw)
        with torch.no_grad():
            noise, timestep = draws.noise_bkchw[:, 0], draws.timesteps_bk[:, 0]
            kept = prior.alphas_cumprod[timestep].view(-1, 1, 1, 1)
            noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
            twice = timestep.repeat(2)
            text, uncond = prior.predict_noise(torch.cat([noisy, noisy]), twice, prompts).chunk(2)
            gradient = text + settings.guidance_scale * (text - uncond) - noise
        loss = 0.5 * functional.mse_loss(latents, (latents - gradient).detach())
        low, high = raw.min().detach(), raw.max().detach()
        flat = functional.pad(((raw - low) / (high - low + 1e-8))[:, None], (1, 1, 1, 1))
        centre = flat[..., 1:-1, 1:-1]
        around = flat[..., :-2, 1:-1] + flat[..., 2:, 1:-1] + flat[..., 1:-1, :-2]
        laplacian = around + flat[..., 1:-1, 2:] - 4 * centre
        loss = loss + settings.smoothness_weight * laplacian.abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        final = decoder(patches, tokens.class_tokens, tokens.grid_hw)
    return final[0].float().cpu().numpy()
