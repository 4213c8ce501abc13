"""Agreement with SharpDepth's released maths (tests/golden/README.md)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from redepth.geometry.alignment import fit_affine
from redepth.refiners.latents.normalisation import minmax
from redepth.refiners.sharpdepth.gating import GateNormaliser, Gating, blend, latent_gate
from redepth.refiners.sharpdepth.pipeline import last_noised
from redepth.training.sharpdepth.loss import distillation_loss, reconstruction_loss

RELEASED = Gating(normaliser=GateNormaliser.MAX)
assert_close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-6)
Recorded = Callable[[str], torch.Tensor]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    archive = np.load(Path(__file__).parent / "golden" / "sharpdepth.npz")
    return lambda key: torch.from_numpy(archive[key])


def test_alignment(recorded: Recorded) -> None:
    predicted, true, valid = (recorded(f"align/{k}").numpy() for k in ("pred", "gt", "valid"))
    fit = fit_affine(predicted, true, valid)
    assert fit.scale == pytest.approx(float(recorded("align/scale")), rel=1e-5)
    assert fit.shift == pytest.approx(float(recorded("align/shift")), rel=1e-5)
    np.testing.assert_allclose(fit.apply(predicted), recorded("align/aligned").numpy(), rtol=1e-5)


def test_min_max_frame(recorded: Recorded) -> None:
    depth_bhw = recorded("minmax/d")[:, 0]
    frame = minmax(depth_bhw)
    torch.testing.assert_close(frame.low_b, recorded("minmax/min").flatten())
    torch.testing.assert_close(frame.high_b, recorded("minmax/max").flatten())
    assert_close(frame.normalise(depth_bhw), recorded("minmax/norm")[:, 0])
    assert_close(frame.denormalise(frame.normalise(depth_bhw)), depth_bhw)


def test_gating_by_the_released_rule(recorded: Recorded) -> None:
    sharp, metric = (recorded(f"gating/{k}")[:, 0] for k in ("lotus_depth", "norm_ud"))
    gate_bhw = RELEASED.gate(sharp, metric)
    assert_close(gate_bhw, recorded("gating/l1_error")[:, 0])
    gate = latent_gate(gate_bhw, 8)
    assert_close(gate, recorded("gating/latent_mask"))
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    noised = last_noised(scheduler, recorded("gating/lotus_pred"), recorded("gating/noise"))
    assert_close(noised, recorded("gating/noisy_lotus"))
    assert_close(blend(gate, noised, recorded("gating/ud_latent")), recorded("gating/mix"))


def test_losses_and_their_gradients(recorded: Recorded) -> None:
    found = recorded("losses/pred_latent").requires_grad_()
    variance = float(recorded("losses/sigma")) ** 2
    distilled = distillation_loss(found, recorded("losses/teacher"), variance)
    distilled.backward()
    assert_close(distilled.detach(), recorded("losses/sds"))
    torch.testing.assert_close(found.grad, recorded("losses/sds_grad"), rtol=1e-5, atol=1e-9)
    depth = recorded("losses/pred_depth").requires_grad_()
    kept = reconstruction_loss(depth, recorded("losses/norm_ud"), recorded("losses/mask"))
    kept.backward()
    assert_close(kept.detach(), recorded("losses/depth_loss"))
    torch.testing.assert_close(depth.grad, recorded("losses/depth_grad"), rtol=1e-5, atol=1e-10)
    total = distilled.detach() + 0.4 * kept.detach()
    assert_close(total, recorded("losses/total_w04"))
