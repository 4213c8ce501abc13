"""The members that share a step: what the method optimises, side by side, and the optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from redepth.coarse.estimator import TokenMaps
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.decoders import MemberDecoders
from redepth.refiners.redepth_anything.progress import Progress
from redepth.types import FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class FinishedMember:
    """A member after its last step.

    Attributes:
        map_hw: float32 [H, W], its raw map.
        scale_offset: the optimised scalar o.
        stopped: why it stopped, naming it; None for a member that came through.
        settled_after: steps after which it had slowed down; None where it took all steps.
    """

    map_hw: FloatMap
    scale_offset: float
    stopped: str | None
    settled_after: int | None


class MemberGroup:
    """M members of one image: each has its own tokens, decoder and scale offset.

    They share the operations of a step and nothing else: AdamW works element by element, losses are
    summed, and a member that is no longer finite is held where it was without touching the others.

    Attributes:
        numbers: of the members, in the ensemble.
        patch_tokens: 4 x float [M, N, C].
        decoders: their weights and how they are called.
        scale_offsets_m: float [M].
        progress: which of them still run.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        tokens: TokenMaps,
        decoders: MemberDecoders,
        settings: ReDepthAnything,
    ) -> None:
        count, first = len(numbers), tokens.patch_tokens[0]
        self.numbers = numbers
        self.patch_tokens = [
            t.detach().repeat(count, 1, 1).requires_grad_(True) for t in tokens.patch_tokens
        ]
        self.decoders = decoders
        self.scale_offsets_m = first.new_zeros(count, requires_grad=True)
        self.progress = Progress(count, first.device)
        self._tokens = tokens
        self._early_stop = settings.early_stop
        self._seen_mhw: Tensor | None = None
        self._most_moved_m = torch.zeros_like(self.scale_offsets_m)
        self._optimiser = _adamw(self, settings)

    def decode(self) -> Tensor:
        """Return the raw maps [M, H, W] of the members as they stand."""
        return self.decoders.decode(self.patch_tokens, self._tokens)

    @torch.no_grad()
    def look(self, raw_mhw: Tensor, step: int) -> bool:
        """End the members whose maps have slowed down, as `early_stop` says. Waits for nothing.

        Args:
            raw_mhw: the maps as this step finds them.
            step: the next to be taken.

        Returns:
            Whether this was a step to look at.
        """
        rule = self._early_stop
        if rule is None or step % rule.every:
            return False
        if self._seen_mhw is not None:
            moved_m = (raw_mhw - self._seen_mhw).abs().mean(dim=(1, 2))
            self.progress.settle(moved_m < rule.slowed_to * self._most_moved_m, step)
            self._most_moved_m = torch.maximum(self._most_moved_m, moved_m)
        self._seen_mhw = raw_mhw.detach().clone()
        return True

    def advance(self, loss_m: Tensor, step: int) -> None:
        """Take AdamW's step down the losses [M].

        A member whose loss or gradient is not finite stops at this step: its parameters stay what
        they are from here on.
        """
        gradients = self._gradients(loss_m.sum())
        finite_m = torch.isfinite(loss_m.detach())
        for gradient in gradients:
            finite_m = finite_m & torch.isfinite(gradient.reshape(len(gradient), -1)).all(dim=1)
        self.progress.stop(~finite_m, loss_m.detach(), step)
        self._move(gradients)

    @torch.no_grad()
    def finish(self) -> list[FinishedMember]:
        """Return the members as they stand; waits for the device."""
        tokens = [t.detach() for t in self.patch_tokens]
        maps_mhw = self.decoders.decode(tokens, self._tokens).float().cpu().numpy()
        offsets = self.scale_offsets_m.tolist()
        return [
            FinishedMember(
                map_hw,
                offset,
                ending.reason and f"member {number}: {ending.reason}",
                ending.settled_after,
            )
            for map_hw, offset, ending, number in zip(
                maps_mhw, offsets, self.progress.read(), self.numbers, strict=True
            )
        ]

    @property
    def dtype(self) -> torch.dtype:
        """What tokens and offsets are kept in."""
        return self.scale_offsets_m.dtype

    @property
    def _moved(self) -> list[Tensor]:
        """What the optimiser moves: tensors [M, ...]."""
        return [*self.patch_tokens, self.decoders.rows, self.scale_offsets_m]

    def _gradients(self, loss: Tensor) -> list[Tensor]:
        """Return a gradient [M, ...] for each of `_moved`."""
        leaves = [*self.patch_tokens, self.scale_offsets_m, *self.decoders.leaves]
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        count = len(self.patch_tokens)
        own = [
            torch.zeros_like(leaf) if gradient is None else gradient
            for leaf, gradient in zip(leaves[: count + 1], found, strict=False)
        ]
        return [*own[:count], self.decoders.gather(found[count + 1 :]), own[count]]

    @torch.no_grad()
    def _move(self, gradients: Sequence[Tensor]) -> None:
        moved, running_m = self._moved, self.progress.running_m
        before = [values.detach().clone() for values in moved]
        for values, gradient in zip(moved, gradients, strict=True):
            running = _beside(running_m, values)
            values.grad = torch.where(running, gradient, torch.zeros_like(gradient))
        self._optimiser.step()
        for values, old in zip(moved, before, strict=True):
            values.copy_(torch.where(_beside(running_m, values), values, old))


def _adamw(group: MemberGroup, settings: ReDepthAnything) -> torch.optim.Optimizer:
    """Return one AdamW over all members; fused into a kernel a group of parameters on a GPU."""
    rates = [
        (group.patch_tokens, settings.token_learning_rate),
        ([group.decoders.rows], settings.decoder_learning_rate),
        ([group.scale_offsets_m], settings.scale_learning_rate),
    ]
    return torch.optim.AdamW(
        [{"params": params, "lr": rate} for params, rate in rates],
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=group.scale_offsets_m.is_cuda,
    )


def _beside(of_members_m: Tensor, values: Tensor) -> Tensor:
    """Return [M] with as many axes as the values [M, ...]."""
    return of_members_m.view(-1, *[1] * (values.dim() - 1))
