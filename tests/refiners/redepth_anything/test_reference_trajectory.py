"""Thirty steps in float64 beside a plain loop that was written from the method's formulas alone.

The loop shares networks and draws with the refiner and nothing else: one member at a time, each
formula written out, AdamW by hand. Losses and all parameters are compared after every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from redepth.coarse.depth_anything.network import DepthAnythingDecoder
from redepth.coarse.estimator import TokenMaps
from redepth.coarse.part import Rendering
from redepth.geometry.relighting import Light
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.decoders import arrange
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.draws import StepDraws
from redepth.refiners.redepth_anything.members import MemberGroup
from redepth.refiners.redepth_anything.picture_encoder import PosteriorEncoder
from redepth.refiners.redepth_anything.prior_parts import PriorParts
from redepth.refiners.redepth_anything.step import RelightTarget, StepLoss
from redepth.types import DepthKind, ModelCard
from tests.refiners.redepth_anything.tiny_networks import tiny_depth_anything, tiny_prior

CPU = torch.device("cpu")
NUM_MEMBERS, NUM_STEPS = 2, 30
GRID_HW, SIDE_PX, PROMPT = (3, 4), 16, "a photograph"
RENDERING = Rendering(scale=7.0, margin=0.1)
SETTINGS = ReDepthAnything(
    token_learning_rate=2e-3, decoder_learning_rate=1e-4, smoothness_weight=0.5
)
RELATIVE = 1e-7
CARD = ModelCard("prior", "tiny", "seed 0", None, "0" * 64, "none", untrained=True)


@dataclass(frozen=True)
class Drawn:
    """The draws of one member's step, as numbers."""

    light_xy: tuple[float, float]
    shininess: float
    weights: tuple[float, float]
    timesteps: tuple[int, ...]
    posterior_noise_chw: Tensor
    noises_chw: tuple[Tensor, ...]


@dataclass(frozen=True)
class World:
    """Tiny networks in float64, a photograph, tokens, and the draws [member][step]."""

    decoder: DepthAnythingDecoder
    parts: PriorParts
    rgb_hw3: Tensor
    tokens: TokenMaps
    draws: list[list[Drawn]]


@dataclass(frozen=True)
class State:
    """A member after a step: its loss, tokens, decoder's weights and scale offset."""

    loss: float
    tokens: list[Tensor]
    weights: list[Tensor]
    offset: float


@pytest.fixture(scope="module", params=[1, 2], ids=["one noise draw", "two noise draws"])
def world(request: pytest.FixtureRequest) -> World:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, parts = tiny_depth_anything(), tiny_prior(torch.float64)
        patches = tuple(torch.randn(1, 12, 8).double() for _ in range(4))
        classes = tuple(torch.randn(1, 1, 8).double() for _ in range(4))
        rgb = torch.rand(12, 16, 3).double()
        draws = [[draw(request.param) for _ in range(NUM_STEPS)] for _ in range(NUM_MEMBERS)]
    decoder = DepthAnythingDecoder(model.neck, model.head)
    return World(decoder, parts, rgb, TokenMaps(patches, classes, GRID_HW), draws)


def draw(count: int) -> Drawn:
    x, y = (torch.rand(2) * 2 - 1).tolist()
    diffuse, specular = torch.rand(2).tolist()
    total = diffuse + specular
    return Drawn(
        light_xy=(x, y),
        shininess=2.0 ** int(torch.randint(2, 8, ())),
        weights=(diffuse / total, specular / total),
        timesteps=tuple(torch.randint(20, 601, (count,)).tolist()),
        posterior_noise_chw=torch.randn(4, 8, 8).double(),
        noises_chw=tuple(torch.randn(count, 4, 8, 8).double()),
    )


# --- the plain loop


def reference(world: World, member: int) -> Iterator[State]:
    """Yield a member's state after each step."""
    decoder = deepcopy(world.decoder)
    tokens = [t.clone().requires_grad_() for t in world.tokens.patch_tokens]
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    rates = {id(t): SETTINGS.token_learning_rate for t in tokens}
    rates |= {id(w): SETTINGS.decoder_learning_rate for w in decoder.parameters()}
    rates[id(offset)] = SETTINGS.scale_learning_rate
    parameters = [*tokens, *decoder.parameters(), offset]
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    for step, drawn in enumerate(world.draws[member], start=1):
        raw = decoder(tokens, world.tokens.class_tokens, GRID_HW)[0]
        loss = SETTINGS.smoothness_weight * reference_smoothness(raw)
        depth = (RENDERING.scale + torch.tanh(offset)) / (raw + RENDERING.margin)
        loss = loss + reference_score(world, reference_relit(world.rgb_hw3, depth, drawn), drawn)
        for p in parameters:
            # Depth Anything's decoder has weights that its map does not depend on: they only decay.
            p.grad = torch.zeros_like(p)
        loss.backward()
        with torch.no_grad():
            for p, m, v in zip(parameters, first, second, strict=True):
                assert p.grad is not None
                m.copy_(0.9 * m + 0.1 * p.grad)
                v.copy_(0.999 * v + 0.001 * p.grad**2)
                mean, square = m / (1 - 0.9**step), v / (1 - 0.999**step)
                p.sub_(rates[id(p)] * (0.01 * p + mean / (square.sqrt() + 1e-8)))
        yield State(
            float(loss.detach()),
            [t.detach().clone() for t in tokens],
            [w.detach().clone() for w in decoder.parameters()],
            float(offset.detach()),
        )


def reference_relit(rgb_hw3: Tensor, depth: Tensor, drawn: Drawn) -> Tensor:
    """Return the re-lit photograph [3, H, W]: normals, Blinn-Phong, clamps, back to sRGB."""
    height, width = depth.shape
    step_u, step_v = 2 * width / height / (width - 1), -2 / (height - 1)
    slope_x, slope_y = difference(depth, axis=1), difference(depth, axis=0)
    # (0, step_v, slope_y) x (step_u, 0, slope_x)
    normal = torch.stack(
        [step_v * slope_x, step_u * slope_y, torch.full_like(depth, -step_u * step_v)]
    )
    normal = normal / (normal.square().sum(0).sqrt() + 1e-8)
    x, y = drawn.light_xy
    length = math.sqrt(x * x + y * y + 1)
    light = torch.tensor([x, y, 1.0], dtype=torch.float64) / length
    half = light + torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    half = half / half.norm()
    lambert = torch.einsum("chw,c->hw", normal, light).clamp(min=0)
    lobe = torch.einsum("chw,c->hw", normal, half).clamp(min=0) ** drawn.shininess
    diffuse, specular = drawn.weights
    linear = rgb_hw3.permute(2, 0, 1) ** 2.2
    lit: Tensor = (diffuse * lambert * linear + specular * lobe).clamp(1e-3, 1)
    return (lit ** (1 / 2.2)).clamp(0, 1)


def difference(values: Tensor, axis: int) -> Tensor:
    """Return central differences along an axis, one-sided at both ends."""
    count = values.shape[axis]
    rows = [values.select(axis, i) for i in range(count)]
    inner = [(rows[i + 1] - rows[i - 1]) / 2 for i in range(1, count - 1)]
    return torch.stack([rows[1] - rows[0], *inner, rows[-1] - rows[-2]], dim=axis)


def reference_score(world: World, picture: Tensor, drawn: Drawn) -> Tensor:
    """Return 0.5 mean((x - stopgrad(x - gradient))^2) of the letterboxed picture's latents."""
    vae = world.parts.vae
    moments = vae.quant_conv(vae.encoder(2 * letterboxed(picture)[None] - 1))
    mean, log_variance = moments[:, :4], moments[:, 4:].clamp(-30, 20)
    latents: Tensor = 0.7 * (mean + torch.exp(log_variance / 2) * drawn.posterior_noise_chw)
    with torch.no_grad():
        gradients = [
            reference_gradient(world, latents, timestep, noise)
            for timestep, noise in zip(drawn.timesteps, drawn.noises_chw, strict=True)
        ]
        target = latents - sum(gradients) / len(gradients)
    return 0.5 * (latents - target).square().mean()


def reference_gradient(world: World, latents: Tensor, timestep: int, noise: Tensor) -> Tensor:
    """Return e_hat - e of one noise draw."""
    kept = float(world.parts.scheduler.alphas_cumprod[timestep])
    noisy: Tensor = math.sqrt(kept) * latents + math.sqrt(1 - kept) * noise

    def noise_for(prompt: str) -> Tensor:
        embedded = embed(world.parts, prompt)
        at = torch.tensor([timestep])
        v: Tensor = world.parts.unet(noisy, at, encoder_hidden_states=embedded).sample
        return math.sqrt(kept) * v + math.sqrt(1 - kept) * noisy

    text, nothing = noise_for(PROMPT), noise_for("")
    return text + SETTINGS.guidance_scale * (text - nothing) - noise


def embed(parts: PriorParts, prompt: str) -> Tensor:
    tokens = parts.tokenizer(
        prompt, padding="max_length", max_length=32, truncation=True, return_tensors="pt"
    )
    states: Tensor = parts.text_encoder(tokens.input_ids).last_hidden_state
    return states


def letterboxed(picture: Tensor) -> Tensor:
    """Scale [3, 12, 16] into 16 x 16: it has the width already; two black rows above and below."""
    _, height, width = picture.shape
    assert (height, width, SIDE_PX) == (12, 16, 16)
    black = torch.zeros(3, 2, width, dtype=picture.dtype)
    return torch.cat([black, picture, black], dim=1)


def reference_smoothness(raw: Tensor) -> Tensor:
    low, high = raw.detach().min(), raw.detach().max()
    flat = (raw - low) / (high - low + 1e-8)
    height, width = flat.shape
    total = torch.zeros((), dtype=raw.dtype)
    wide = torch.zeros(height + 2, width + 2, dtype=raw.dtype)
    wide[1:-1, 1:-1] = flat
    for row in range(1, height + 1):
        around = wide[row - 1, 1:-1] + wide[row + 1, 1:-1] + wide[row, :-2] + wide[row, 2:]
        total = total + (around - 4 * wide[row, 1:-1]).abs().sum()
    return total / (height * width)


# --- beside ours


def ours(world: World, batch_decoders: bool) -> Iterator[list[State]]:
    """Yield the states of all members after each step, as the refiner takes it."""
    encoder = PosteriorEncoder(world.parts.vae, SIDE_PX, torch.float64, CPU)
    prior = DiffusionPrior(world.parts, encoder, CARD, SIDE_PX, torch.float64, CPU)
    decoders = [deepcopy(world.decoder).requires_grad_(True) for _ in range(NUM_MEMBERS)]
    arranged = arrange(decoders, batch_decoders)
    group = MemberGroup(range(NUM_MEMBERS), world.tokens, arranged, SETTINGS)
    step_loss = StepLoss(SETTINGS, RENDERING, DepthKind.AFFINE_DISPARITY, prior)
    linear = (world.rgb_hw3**2.2).permute(2, 0, 1)[None]
    target = RelightTarget(linear, prior.embed([PROMPT, ""]))
    for step in range(NUM_STEPS):
        drawn = beside_each_other([member[step] for member in world.draws])
        loss = step_loss(group.decode(), group.scale_offsets_m, drawn, target)
        group.advance(loss, step)
        yield [state(group, member, loss) for member in range(NUM_MEMBERS)]


def beside_each_other(drawn: list[Drawn]) -> StepDraws:
    xy = torch.tensor([one.light_xy for one in drawn], dtype=torch.float64)
    towards = torch.cat([xy, torch.ones(len(drawn), 1, dtype=torch.float64)], dim=1)
    weights = torch.tensor([one.weights for one in drawn], dtype=torch.float64)
    light = Light(
        towards / towards.norm(dim=1, keepdim=True),
        torch.tensor([one.shininess for one in drawn], dtype=torch.float64),
        weights[:, 0],
        weights[:, 1],
    )
    return StepDraws(
        light,
        torch.stack([one.posterior_noise_chw for one in drawn]),
        torch.stack([torch.stack(one.noises_chw) for one in drawn]),
        torch.tensor([one.timesteps for one in drawn]),
    )


def state(group: MemberGroup, member: int, loss_m: Tensor) -> State:
    return State(
        float(loss_m[member].detach()),
        [t[member : member + 1].detach().clone() for t in group.patch_tokens],
        [w.clone() for w in group.decoders.weights_of(member)],
        float(group.scale_offsets_m[member].detach()),
    )


@pytest.fixture(scope="module")
def expected(world: World) -> list[list[State]]:
    """The plain loop's states, [member][step]."""
    return [list(reference(world, member)) for member in range(NUM_MEMBERS)]


@pytest.mark.parametrize("batch_decoders", [False, True])
def test_losses_and_parameters_are_those_of_the_plain_loop(
    world: World, expected: list[list[State]], batch_decoders: bool
) -> None:
    start = [*world.tokens.patch_tokens, *world.decoder.parameters()]
    for step, states in enumerate(ours(world, batch_decoders)):
        for found, wanted in zip(states, [member[step] for member in expected], strict=True):
            assert found.loss == pytest.approx(wanted.loss, rel=RELATIVE, abs=0)
            assert found.offset == pytest.approx(wanted.offset, rel=RELATIVE, abs=0)
            pairs = zip(
                [*found.tokens, *found.weights], [*wanted.tokens, *wanted.weights], start,
                strict=True,
            )  # fmt: skip
            for tensor, other, before in pairs:
                moved = (other - before).abs().max()
                assert (tensor - other).abs().max() <= RELATIVE * moved


def test_the_plain_loop_moves_everything(world: World, expected: list[list[State]]) -> None:
    """Or the comparison above would say little."""
    for states in expected:
        last = states[-1]
        assert abs(last.offset) > 1e-3
        for tensor, before in zip(last.tokens, world.tokens.patch_tokens, strict=True):
            assert (tensor - before).abs().max() > 1e-2
        pairs = list(zip(last.weights, world.decoder.parameters(), strict=True))
        moved = [bool((tensor - before.detach()).abs().max() > 1e-4) for tensor, before in pairs]
        assert sum(moved) > 0.8 * len(pairs)  # the others are those that only decay
        assert len({state.loss for state in states}) == NUM_STEPS
