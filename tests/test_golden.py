"""Agreement with numbers recorded from the authors' released maths (tests/golden/README.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from redepth.geometry.alignment import align_disparity_then_depth
from redepth.geometry.letterbox import letterbox, letterbox_box
from redepth.geometry.normals import orthographic_normals
from redepth.geometry.relighting import Light, light_direction, relight, to_linear, to_srgb
from redepth.geometry.smoothness import smoothness
from redepth.metrics.depth import depth_metrics
from redepth.refiners.redepth_anything.score_distillation import (
    Weighting,
    add_noise,
    guide,
    score_distillation_gradient,
    score_distillation_loss,
    timestep_weight,
)

RELATIVE = 1e-5


@pytest.fixture(scope="module")
def recorded() -> Callable[[str], Tensor]:
    archive = np.load(Path(__file__).parent / "golden" / "redepth_anything.npz")
    return lambda key: torch.from_numpy(archive[key])


def assert_agrees(ours: Tensor, theirs: Tensor) -> None:
    """Compare to 1e-5 of the recorded array's largest magnitude."""
    scale = theirs.abs().max().clamp(min=1e-12)
    assert ours.shape == theirs.shape
    assert ((ours - theirs).abs().max() / scale).item() <= RELATIVE


@pytest.mark.parametrize("group", ["normals_square", "normals_wide"])
class TestNormals:
    def test_values_and_gradient(self, recorded: Callable[[str], Tensor], group: str) -> None:
        depth = recorded(f"{group}/z_finite").requires_grad_()
        normal = orthographic_normals(depth)
        assert_agrees(normal.detach(), recorded(f"{group}/n_finite"))
        (normal * recorded(f"{group}/cot")).sum().backward()
        assert depth.grad is not None
        assert_agrees(depth.grad, recorded(f"{group}/grad"))

    def test_invalid_pixels_where_theirs_are_finite(
        self, recorded: Callable[[str], Tensor], group: str
    ) -> None:
        normal, theirs = orthographic_normals(recorded(f"{group}/z")), recorded(f"{group}/n")
        finite = torch.isfinite(theirs)
        assert not finite.all(), "the recording should hold the NaN that ours avoids"
        assert torch.isfinite(normal).all()
        assert_agrees(normal[finite], theirs[finite])


@pytest.mark.parametrize("group", ["relight_0", "relight_1"])
def test_relight(recorded: Callable[[str], Tensor], group: str) -> None:
    depth = recorded(f"{group}/depth").requires_grad_()
    direction = light_direction(recorded(f"{group}/light_xy"))
    assert_agrees(direction, recorded(f"{group}/light"))
    drawn = recorded(f"{group}/coef_raw")
    diffuse, specular = drawn / drawn.sum()
    assert_agrees(torch.stack((diffuse, specular)), recorded(f"{group}/coef"))
    shininess = 2.0 ** recorded(f"{group}/exp")
    light = Light(direction, shininess[None], diffuse[None], specular[None])
    lit = relight(depth, to_linear(recorded(f"{group}/img_srgb")), light)
    assert_agrees(lit.detach(), recorded(f"{group}/out_linear"))
    assert_agrees(to_srgb(lit.detach()), recorded(f"{group}/out_rgb"))
    (lit * recorded(f"{group}/cot")).sum().backward()
    assert depth.grad is not None
    assert_agrees(depth.grad, recorded(f"{group}/grad"))


def test_gamma(recorded: Callable[[str], Tensor]) -> None:
    linear = to_linear(recorded("gamma/x"))
    assert_agrees(linear, recorded("gamma/linear"))
    assert_agrees(to_srgb(linear), recorded("gamma/back"))


@pytest.mark.parametrize("group", ["letterbox_square", "letterbox_wide", "letterbox_tall"])
def test_letterbox(recorded: Callable[[str], Tensor], group: str) -> None:
    image = recorded(f"{group}/im")
    framed = letterbox(image, 512)
    assert_agrees(framed[..., ::8, ::8], recorded(f"{group}/out_sub"))
    box = letterbox_box(image.shape[2], image.shape[3], 512)
    bottom, right = box.top_px + box.height_px - 1, box.left_px + box.width_px - 1
    assert [box.top_px, bottom, box.left_px, right] == recorded(f"{group}/box").tolist()


@pytest.mark.parametrize(
    ("group", "weighting"),
    [("sds_uniform", "uniform"), ("sds_sigma", "sds"), ("sds_fantasia", "fantasia3d")],
)
def test_score_distillation(
    recorded: Callable[[str], Tensor], group: str, weighting: Weighting
) -> None:
    latents = recorded(f"{group}/lat").requires_grad_()
    text, uncond = recorded(f"{group}/unet_out").chunk(2)
    gradient = score_distillation_gradient(
        guide(text, uncond, 50.0),
        recorded(f"{group}/noise"),
        recorded(f"{group}/alphas"),
        weighting,
    )
    assert_agrees(gradient, recorded(f"{group}/grad"))
    loss = score_distillation_loss(latents, gradient).mean()
    assert loss.item() == pytest.approx(recorded(f"{group}/loss").item(), rel=RELATIVE)
    loss.backward()
    assert latents.grad is not None
    assert_agrees(latents.grad, recorded(f"{group}/dloss"))


def test_alphas_of_the_stable_diffusion_schedule(recorded: Callable[[str], Tensor]) -> None:
    from diffusers import DDPMScheduler

    schedule = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert_agrees(schedule.alphas_cumprod, recorded("alphas/alphas_cumprod"))
    chosen = recorded("sds_uniform/t")
    assert_agrees(schedule.alphas_cumprod[chosen], recorded("sds_uniform/alphas"))


def test_smoothness(recorded: Callable[[str], Tensor]) -> None:
    raw = recorded("smoothness/raw").requires_grad_()
    loss = smoothness(raw).sum()
    assert loss.item() == pytest.approx(recorded("smoothness/loss").item(), rel=RELATIVE)
    loss.backward()
    assert raw.grad is not None
    assert_agrees(raw.grad, recorded("smoothness/grad"))


def test_evaluation_alignment_and_metrics(recorded: Callable[[str], Tensor]) -> None:
    truth = recorded("align_eval/gt")[0].numpy()
    mask = recorded("align_eval/mask")[0].numpy().astype(bool)
    aligned = align_disparity_then_depth(recorded("align_eval/pred_raw")[0].numpy(), truth, mask)
    for ours, key in (
        (aligned.disparity.scale, "scale1"),
        (aligned.disparity.shift, "shift1"),
        (aligned.depth.scale, "scale2"),
        (aligned.depth.shift, "shift2"),
    ):
        assert ours == pytest.approx(recorded(f"align_eval/{key}").item(), rel=RELATIVE)
    assert_agrees(torch.from_numpy(aligned.depth_hw).float(), recorded("align_eval/depth2"))
    metrics = depth_metrics(aligned.depth_hw, truth, mask)
    theirs = {
        "abs_rel": metrics.abs_rel,
        "sq_rel": metrics.sq_rel,
        "rmse": metrics.rmse,
        "rmse_log": metrics.rmse_log,
        "silog": metrics.silog,
        "log_10": metrics.log10,
        "a1": metrics.delta1,
        "a2": metrics.delta2,
        "a3": metrics.delta3,
    }
    for key, value in theirs.items():
        expected = recorded(f"align_eval/m_{key}").item()
        assert value == pytest.approx(expected, rel=RELATIVE), key


def test_float64_keeps_the_formulas_exact() -> None:
    """Noise and weight formulas against their algebra, in float64."""
    alpha_bar = torch.tensor([0.25], dtype=torch.float64)
    latents = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    noise = torch.full_like(latents, 4.0)
    noisy = add_noise(latents, noise, alpha_bar).item()
    assert noisy == pytest.approx(0.5 * 2.0 + 0.75**0.5 * 4.0, rel=1e-15)
    assert timestep_weight(alpha_bar, "sds").item() == 0.75
    assert timestep_weight(alpha_bar, "fantasia3d").item() == pytest.approx(0.5 * 0.75, rel=1e-15)
