"""What a device is called in a label's row, and how many FLOPs a second its data sheet promises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Limits = Mapping[str, float]  # FLOP/s by the name of a torch dtype

_CUDA = "cuda: "


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """The dense peak of a card, as its maker states it: without sparsity, with float32 sums.

    Attributes:
        names: a regular expression for all of a name that CUDA gives the card. What it does not
            fit, a slice of a card (MIG) or a laptop's, has other limits.
        flops_a_second: by dtype. float32 is the faster of plain float32 and TF32: PyTorch takes
            TF32 for convolutions where the card has it.
    """

    names: str
    flops_a_second: Limits


def _ampere(tera_half: float, tera_tf32: float) -> Limits:
    """Return the limits of a card with TF32, on which bfloat16 is as fast as float16."""
    half = tera_half * 1e12
    return {"float16": half, "bfloat16": half, "float32": tera_tf32 * 1e12}


def _volta(tera_half: float, tera_float32: float) -> Limits:
    """Return the limits of a card with neither TF32 nor bfloat16 in its tensor cores."""
    return {"float16": tera_half * 1e12, "float32": tera_float32 * 1e12}


# NVIDIA's data sheets; where they state figures with sparsity (H200, H100, L40S, L4), half of them.
# GeForce: the white papers of Ampere and Ada, "with FP32 accumulate", dense.
DEVICES = (
    DeviceLimits(r"NVIDIA H200", _ampere(989, 494)),
    DeviceLimits(r"NVIDIA H100 80GB HBM3", _ampere(989, 494)),
    DeviceLimits(r"NVIDIA H100 PCIe", _ampere(756, 378)),
    DeviceLimits(r"NVIDIA A100-(SXM4|PCIE)-[48]0GB|NVIDIA A100 80GB PCIe", _ampere(312, 156)),
    DeviceLimits(r"NVIDIA L40S", _ampere(362, 183)),
    DeviceLimits(r"NVIDIA L4", _ampere(121, 60)),
    DeviceLimits(r"NVIDIA A10", _ampere(125, 62.5)),
    DeviceLimits(r"NVIDIA GeForce RTX 4090", _ampere(165.2, 82.6)),
    DeviceLimits(r"NVIDIA GeForce RTX 3090", _ampere(71, 35.6)),
    DeviceLimits(r"Tesla T4", _volta(65, 8.1)),
    DeviceLimits(r"Tesla V100-SXM2-(16|32)GB", _volta(125, 15.7)),
    DeviceLimits(r"Tesla V100-PCIE-(16|32)GB", _volta(112, 14)),
)


def device_name(device: torch.device) -> str:
    """Return what a row says of where it was computed: "cpu", or "cuda: NVIDIA H200"."""
    import torch

    if device.type != "cuda":
        return str(device)
    return f"{_CUDA}{torch.cuda.get_device_name(device)}"


def card_of(device: str) -> str:
    """Return the name of the card in what a row says of its device."""
    return device.removeprefix(_CUDA)


def local_card() -> str | None:
    """Return the name of this machine's first CUDA card; None if there is none. Imports torch."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def limits_of(device: str) -> Limits | None:
    """Return the limits of a device as a row or a recipe names it; None if they are not known."""
    name = card_of(device)
    for known in DEVICES:
        if re.fullmatch(known.names, name):
            return known.flops_a_second
    return None
