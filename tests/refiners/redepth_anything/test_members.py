"""Members that share a step: side by side, held where they stop, never waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from redepth.coarse.depth_anything.mini import build_mini_depth_anything
from redepth.coarse.depth_anything.network import DepthAnythingDecoder
from redepth.coarse.estimator import TokenMaps
from redepth.coarse.part import Rendering
from redepth.geometry.relighting import to_linear
from redepth.refiners.draws import generator
from redepth.refiners.redepth_anything import EarlyStop, Prior, ReDepthAnything
from redepth.refiners.redepth_anything.decoders import (
    BatchedDecoders,
    LoopedDecoders,
    MemberDecoders,
    arrange,
)
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.refiners.redepth_anything.draws import DrawShape, draw_step
from redepth.refiners.redepth_anything.members import MemberGroup
from redepth.refiners.redepth_anything.progress import Progress
from redepth.refiners.redepth_anything.step import RelightTarget, StepLoss
from redepth.settings import Compute, Weights
from redepth.types import DepthKind

CPU = torch.device("cpu")
SETTINGS = ReDepthAnything(token_learning_rate=1e-2, decoder_learning_rate=1e-3)
BOTH = pytest.mark.parametrize("batched", [False, True])


class Linear(nn.Module):
    """A decoder small enough to follow by hand: w * mean over channels of the first map + b."""

    def __init__(self, weight: float = 2.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.zeros(3))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(
        self,
        patch_tokens: Sequence[Tensor],
        class_tokens: Sequence[Tensor],
        grid_hw: tuple[int, int],
    ) -> Tensor:
        flat = self.weight * patch_tokens[0].mean(dim=2) + self.bias.sum() * self.fixed
        return flat.view(-1, *grid_hw)


class Foreign:
    """A decoder of a plug-in that is no torch module."""

    def __init__(self, inner: nn.Module) -> None:
        self._inner = inner

    def __call__(
        self,
        patch_tokens: Sequence[Tensor],
        class_tokens: Sequence[Tensor],
        grid_hw: tuple[int, int],
    ) -> Tensor:
        raw: Tensor = self._inner(patch_tokens, class_tokens, grid_hw)
        return raw

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self._inner.parameters(recurse)


def tokens(seed: int = 0) -> TokenMaps:
    rng = torch.Generator().manual_seed(seed)
    patches = tuple(torch.randn(1, 6, 4, generator=rng) for _ in range(4))
    return TokenMaps(patches, tuple(torch.zeros(1, 1, 4) for _ in range(4)), (2, 3))


def group_of(decoders: Sequence[Any], batched: bool, **changes: Any) -> MemberGroup:
    settings = SETTINGS.model_copy(update=changes)
    return MemberGroup(range(len(decoders)), tokens(), arrange(decoders, batched), settings)


def parameters_of(group: MemberGroup, member: int) -> list[Tensor]:
    parts = [*group.patch_tokens, group.scale_offsets_m]
    own = [part[member].detach().clone() for part in parts]
    return [*own, *(weight.clone() for weight in group.decoders.weights_of(member))]


def loss_of(group: MemberGroup) -> Tensor:
    return group.decode().square().mean(dim=(1, 2)) + group.scale_offsets_m


# --- decoders


def test_modules_are_batched_on_demand_and_others_never() -> None:
    assert isinstance(arrange([Linear(), Linear()], True), BatchedDecoders)
    assert isinstance(arrange([Linear(), Linear()], False), LoopedDecoders)
    assert isinstance(arrange([Foreign(Linear()), Linear()], True), LoopedDecoders)


def test_weights_of_several_dtypes_are_refused() -> None:
    decoder = Linear()
    decoder.bias = nn.Parameter(decoder.bias.detach().double())
    with pytest.raises(TypeError, match="of one dtype"):
        arrange([decoder], False)


@BOTH
def test_each_member_keeps_weights_of_its_own(batched: bool) -> None:
    found = arrange([Linear(2.0), Linear(5.0)], batched)
    assert [float(found.weights_of(m)[0]) for m in range(2)] == [2.0, 5.0]
    patches = [t.repeat(2, 1, 1) for t in tokens().patch_tokens]
    raw = found.decode(patches, tokens())
    torch.testing.assert_close(raw[1], raw[0] * 2.5)


@BOTH
def test_a_member_in_a_group_moves_as_alone(batched: bool) -> None:
    """Over real decoders: beside others, a member's loss, steps and map are those of its own."""
    model = build_mini_depth_anything(0)
    decoder = DepthAnythingDecoder(model.neck, model.head).requires_grad_(True)
    rng = torch.Generator().manual_seed(3)
    patches = tuple(torch.randn(1, 16, 96, generator=rng) for _ in range(4))
    maps = TokenMaps(patches, tuple(torch.zeros(1, 1, 96) for _ in range(4)), (4, 4))

    def run(numbers: Sequence[int], together: bool) -> Tensor:
        decoders = arrange([deepcopy(decoder) for _ in numbers], together)
        group = MemberGroup(numbers, maps, decoders, SETTINGS)
        wanted = torch.tensor([float(n) for n in numbers])[:, None, None]
        for step in range(3):
            group.advance((group.decode() - wanted).square().mean(dim=(1, 2)), step)
        return group.decode().detach()

    alone = torch.cat([run([1], False), run([2], False)])
    torch.testing.assert_close(run([1, 2], batched), alone, rtol=1e-4, atol=1e-5)


@BOTH
def test_the_update_is_adamws(batched: bool) -> None:
    """Against torch's own AdamW on one member's tensors."""
    group = group_of([Linear(2.0), Linear(3.0)], batched)
    decoder, patches = Linear(3.0), [t.clone().requires_grad_() for t in tokens().patch_tokens]
    offset = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.AdamW(
        [
            {"params": patches, "lr": SETTINGS.token_learning_rate},
            {"params": [decoder.weight, decoder.bias], "lr": SETTINGS.decoder_learning_rate},
            {"params": [offset], "lr": SETTINGS.scale_learning_rate},
        ],
        weight_decay=SETTINGS.weight_decay,
    )
    for step in range(5):
        group.advance(loss_of(group), step)
        (decoder(patches, [], (2, 3)).square().mean() + offset).backward()
        optimiser.step()
        optimiser.zero_grad()
    found = parameters_of(group, 1)
    torch.testing.assert_close(found[0], patches[0][0].detach())
    torch.testing.assert_close(found[4:], [offset.detach(), decoder.weight, decoder.bias])


def test_a_decoder_that_is_no_module_is_moved_too() -> None:
    plain, foreign = group_of([Linear()], False), group_of([Foreign(Linear())], True)
    for step in range(3):
        for group in (plain, foreign):
            group.advance(loss_of(group), step)
    assert torch.equal(plain.decode(), foreign.decode())
    assert float(foreign.decoders.weights_of(0)[0]) != 2.0


# --- who stops


@BOTH
@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_a_member_that_stops_is_held_from_that_step_on(batched: bool, poison: str) -> None:
    group, quiet = group_of([Linear(), Linear(3.0)], batched), group_of([Linear(3.0)], False)
    held: list[Tensor] = []
    for step in range(6):
        if step == 3:
            held = parameters_of(group, 0)
        group.advance(poisoned(loss_of(group), group, poison if step >= 3 else ""), step)
        quiet.advance(loss_of(quiet), step)
    assert all(torch.equal(a, b) for a, b in zip(parameters_of(group, 0), held, strict=True))
    for mine, alone in zip(parameters_of(group, 1), parameters_of(quiet, 0), strict=True):
        torch.testing.assert_close(mine, alone)
    words = {"loss": "loss is nan at step 3", "gradient": "gradient is not finite at step 3"}
    first, second = group.finish()
    assert (first.stopped, second.stopped) == (f"member 0: {words[poison]}", None)


def poisoned(loss_m: Tensor, group: MemberGroup, kind: str) -> Tensor:
    """Spoil member 0: its loss itself, or (sqrt at 0) its gradient alone."""
    first = torch.tensor([1.0, 0.0])
    if kind == "loss":
        return loss_m + torch.where(first > 0, float("nan"), 0.0)
    if kind == "gradient":
        zero = (group.patch_tokens[1] * 0).flatten(1).sum(dim=1)
        return loss_m + torch.where(first > 0, zero.clamp(min=0), 1.0 + 0 * zero).sqrt() * first
    return loss_m


def test_a_member_stops_once() -> None:
    progress = Progress(3, CPU)
    bad = torch.tensor([False, True, False])
    progress.stop(bad, torch.tensor([1.0, float("inf"), 2.0]), 4)
    progress.stop(~bad, torch.tensor([3.0, float("nan"), float("nan")]), 7)
    progress.stop(~bad & bad, torch.zeros(3), 8)
    assert [ending.reason for ending in progress.read()] == [
        "gradient is not finite at step 7",
        "loss is inf at step 4",
        "loss is nan at step 7",
    ]
    assert not progress.any_runs()


# --- early stop


def looked_at(changes: Sequence[Sequence[float]], every: int) -> list[int | None]:
    """Return after how many steps each member settles, half as fast as at its fastest.

    Args:
        changes: [step][member], what each step finds added to half of a map's pixels.
    """
    rule = EarlyStop(every=every, slowed_to=0.5)
    group = group_of([Linear() for _ in changes[0]], False, early_stop=rule)
    raw = torch.tensor([[[0.0, 1.0, 0.5, 0.5]]]).repeat(len(changes[0]), 1, 1)
    for step, added in enumerate(changes):
        raw = raw.clone()
        raw[:, 0, 2:] += torch.tensor(added)[:, None]
        group.look(raw, step)
    return [ending.settled_after for ending in group.progress.read()]


def test_a_member_settles_where_its_map_has_slowed_down() -> None:
    assert looked_at([[0, 0], [0.4, 0.2], [0.4, 0.09], [0.19, 0.4], [0.4, 0.4]], 1) == [3, 2]
    assert looked_at([[0.0], [0.2], [0.5], [0.26], [0.3]], 1) == [None]
    assert looked_at([[0.0], [0.2], [0.5], [0.26], [0.24]], 1) == [4]


def test_one_threshold_fits_maps_of_any_range() -> None:
    small, large = [0.0, 0.2, 0.5, 0.3, 0.2], [0.0, 20.0, 50.0, 30.0, 20.0]
    assert looked_at(list(zip(small, large, strict=True)), 1) == [4, 4]


def test_what_counts_is_how_far_a_map_came_between_two_looks() -> None:
    """There and back is no way at all; the steps between are not looked at."""
    assert looked_at([[0.0], [0.2], [0.2], [0.3], [-0.3]], 2) == [4]
    assert looked_at([[0.0], [0.2], [0.2], [0.0], [0.3]], 2) == [None]
    assert looked_at([[0.0], [0.2], [0.2], [0.0], [0.0], [0.0]], 2) == [4]


def test_the_first_look_ends_nobody() -> None:
    assert looked_at([[0.0], [0.0], [0.0]], 1) == [None]


@BOTH
def test_a_settled_member_is_held_and_comes_through(batched: bool) -> None:
    group = group_of([Linear(), Linear(3.0)], batched)
    group.advance(loss_of(group), 0)
    group.progress.settle(torch.tensor([True, False]), 1)
    held, other = parameters_of(group, 0), parameters_of(group, 1)
    group.advance(loss_of(group), 1)
    assert all(torch.equal(a, b) for a, b in zip(parameters_of(group, 0), held, strict=True))
    assert not torch.equal(parameters_of(group, 1)[0], other[0])
    assert [(m.stopped, m.settled_after) for m in group.finish()] == [(None, 1), (None, None)]


# --- no waiting


class NoWaiting(TorchDispatchMode):
    """Refuse what makes a host wait for a GPU: reading a value, and tensors made of numbers."""

    refused = ("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "lift_fresh")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func.overloadpacket.__name__
        tensors = [value for value in args if isinstance(value, Tensor)]
        # A step's number in torch.where becomes a tensor on the host, and is copied to the device.
        # (The zeros of autograd, which are floats, are made on the device.)
        whole = [tensor for tensor in tensors if tensor.dtype is torch.int64]
        number = name == "where" and any(tensor.dim() == 0 for tensor in whole)
        if number or name in self.refused:
            raise AssertionError(f"a step must not call {name}")
        return func(*args, **kwargs or {})


@pytest.fixture(scope="module")
def step_parts() -> tuple[MemberGroup, StepLoss, RelightTarget, DrawShape]:
    model = build_mini_depth_anything(0)
    decoder = DepthAnythingDecoder(model.neck, model.head).requires_grad_(True)
    rng = torch.Generator().manual_seed(0)
    maps = TokenMaps(
        tuple(torch.randn(1, 16, 96, generator=rng) for _ in range(4)),
        tuple(torch.zeros(1, 1, 96) for _ in range(4)),
        (4, 4),
    )
    arranged: MemberDecoders = arrange([decoder, deepcopy(decoder)], True)
    settings = SETTINGS.model_copy(update={"early_stop": EarlyStop(every=1, slowed_to=0.1)})
    group = MemberGroup(range(2), maps, arranged, settings)
    prior = load_prior(Prior(preset="mini", weights=Weights(seed=0)), Compute(), CPU)
    picture = np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)
    linear = to_linear(torch.from_numpy(picture)).permute(2, 0, 1)[None]
    target = RelightTarget(linear, prior.embed(["a photograph", ""]))
    loss = StepLoss(SETTINGS, Rendering(7.0, 0.1), DepthKind.AFFINE_DISPARITY, prior)
    return group, loss, target, DrawShape(prior.latent_shape, prior.num_timesteps)


def test_a_step_makes_no_host_wait(
    step_parts: tuple[MemberGroup, StepLoss, RelightTarget, DrawShape],
) -> None:
    group, loss, target, shape = step_parts
    draws = draw_step([generator(0, "a", m, 0) for m in range(2)], SETTINGS, shape, CPU)
    before = group.decode().detach()
    for parameters in group._optimiser.param_groups:
        parameters["fused"] = True  # as on a GPU; the other ways count steps on the CPU
    with NoWaiting():
        maps = group.decode()
        group.look(maps, 0)
        group.look(maps + 1, 1)
        group.advance(loss(maps, group.scale_offsets_m, draws, target), 0)
    assert not torch.equal(group.decode().detach(), before)


@pytest.mark.parametrize(
    "waits",
    [
        lambda: bool(torch.ones(1) > 0),
        lambda: torch.tensor([1.0]),
        lambda: torch.where(torch.ones(2) > 0, 3, torch.arange(2)),
    ],
)
def test_what_waits_is_noticed(waits: Any) -> None:
    with NoWaiting(), pytest.raises(AssertionError, match="must not call"):
        waits()
