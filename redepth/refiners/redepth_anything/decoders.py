"""The decoders of members that share a step: one row of weights a member, side by side.

All weights lie in one tensor [M, P]: whether a member's gradient is finite, what AdamW makes of it
and whether the member is held back are then one operation each, not one a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from redepth.coarse.estimator import DepthDecoder, TokenMaps

# Weights begin at multiples of 64 bytes, as where they are allocated one by one: libraries of
# convolutions take slower kernels for others.
_ALIGNMENT = 16


class MemberDecoders(Protocol):
    """The decoders of M members.

    Attributes:
        rows: float [M, P], all weights; the optimiser changes it in place.
        leaves: what gradients are asked of; views of `rows`.
    """

    rows: Tensor
    leaves: list[Tensor]

    def decode(self, patch_tokens: Sequence[Tensor], tokens: TokenMaps) -> Tensor:
        """Return the raw maps [M, H, W] of patch tokens 4 x [M, N, C]."""

    def gather(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return gradients of `leaves`, in their order, as rows [M, P]; zero for None.

        A weight that the map does not depend on has none, and only decays.
        """

    def weights_of(self, member: int) -> list[Tensor]:
        """Return one decoder's trainable weights, in the order of its `parameters`; views."""


class LoopedDecoders:
    """Decoders that are called one after the other: any `DepthDecoder`."""

    def __init__(self, decoders: Sequence[DepthDecoder]) -> None:
        self._decoders = decoders
        self._num_weights = len(_weights(decoders[0]))
        self._layout = _Layout.of(_weights(decoders[0]))
        self.rows = self._layout.stack(decoders)
        self.leaves: list[Tensor] = []
        for row, decoder in zip(self.rows, decoders, strict=True):
            for weight, view in zip(_weights(decoder), self._layout.views(row), strict=True):
                weight.data = view
                self.leaves.append(weight)

    def decode(self, patch_tokens: Sequence[Tensor], tokens: TokenMaps) -> Tensor:
        """Return the raw maps [M, H, W] of patch tokens 4 x [M, N, C]."""
        return torch.cat(
            [
                decoder([t[m : m + 1] for t in patch_tokens], tokens.class_tokens, tokens.grid_hw)
                for m, decoder in enumerate(self._decoders)
            ]
        )

    def gather(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return gradients of `leaves`, in their order, as rows [M, P]; zero for None."""
        rows = torch.zeros_like(self.rows)
        count = self._num_weights
        for m, row in enumerate(rows):
            self._layout.fill(row, gradients[m * count : (m + 1) * count])
        return rows

    def weights_of(self, member: int) -> list[Tensor]:
        """Return one decoder's trainable weights, in the order of its `parameters`; views."""
        return self._layout.views(self.rows[member])


class BatchedDecoders:
    """Decoders in one call over all members: torch modules that `torch.func.vmap` can take."""

    def __init__(self, decoders: Sequence[nn.Module]) -> None:
        self._decoder = decoders[0]
        self._layout = _Layout.of(_weights(self._decoder))
        self.rows = self._layout.stack(decoders)
        self.leaves = [view.detach().requires_grad_(True) for view in self._layout.views(self.rows)]
        self._names = [n for n, w in self._decoder.named_parameters() if w.requires_grad]

    def decode(self, patch_tokens: Sequence[Tensor], tokens: TokenMaps) -> Tensor:
        """Return the raw maps [M, H, W] of patch tokens 4 x [M, N, C]."""

        def one(weights: dict[str, Tensor], patches: list[Tensor]) -> Tensor:
            arguments = (patches, tokens.class_tokens, tokens.grid_hw)
            raw: Tensor = functional_call(self._decoder, weights, arguments)
            return raw

        weights = dict(zip(self._names, self.leaves, strict=True))
        raw_m1hw: Tensor = vmap(one)(weights, [t.unsqueeze(1) for t in patch_tokens])
        return raw_m1hw[:, 0]

    def gather(self, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return gradients of `leaves`, in their order, as rows [M, P]; zero for None."""
        rows = torch.zeros_like(self.rows)
        self._layout.fill(rows, gradients)
        return rows

    def weights_of(self, member: int) -> list[Tensor]:
        """Return one decoder's trainable weights, in the order of its `parameters`; views."""
        return self._layout.views(self.rows[member])


def arrange(decoders: Sequence[DepthDecoder], batched: bool) -> MemberDecoders:
    """Put decoders side by side; those that are no torch modules are called one by one."""
    modules = [decoder for decoder in decoders if isinstance(decoder, nn.Module)]
    if batched and len(modules) == len(decoders):
        return BatchedDecoders(modules)
    return LoopedDecoders(decoders)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in a row each weight lies."""

    shapes: tuple[torch.Size, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, weights: Sequence[Tensor]) -> _Layout:
        dtypes = {weight.dtype for weight in weights}
        if len(dtypes) != 1:
            raise TypeError(f"a decoder's weights must be of one dtype, got {dtypes or 'none'}")
        room = [-(-weight.numel() // _ALIGNMENT) * _ALIGNMENT for weight in weights]
        return cls(tuple(w.shape for w in weights), tuple(accumulate(room, initial=0)))

    def stack(self, decoders: Sequence[DepthDecoder] | Sequence[nn.Module]) -> Tensor:
        """Copy the decoders' weights into new rows [M, P]."""
        first = _weights(decoders[0])[0]
        rows = first.new_zeros(len(decoders), self.starts[-1])
        for row, decoder in zip(rows, decoders, strict=True):
            self.fill(row, [weight.detach() for weight in _weights(decoder)])
        return rows

    def views(self, rows: Tensor) -> list[Tensor]:
        """Return each weight as a view of rows [..., P], shape [..., *its own]."""
        return [
            rows[..., start : start + shape.numel()].view((*rows.shape[:-1], *shape))
            for start, shape in zip(self.starts, self.shapes, strict=False)
        ]

    def fill(self, rows: Tensor, values: Sequence[Tensor | None]) -> None:
        """Copy a value for each weight into rows [..., P]; leave out those that are None."""
        for view, value in zip(self.views(rows), values, strict=True):
            if value is not None:
                view.copy_(value)


def _weights(decoder: DepthDecoder | nn.Module) -> list[nn.Parameter]:
    return [weight for weight in decoder.parameters() if weight.requires_grad]
