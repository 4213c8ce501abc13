"""Whether a GPU still works, asked by the name that rows give it."""

from __future__ import annotations

import pytest
import torch

from redepth.errors import DeviceLost
from redepth.labelling.device_health import require_device


def test_a_card_that_works_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(device: object = None) -> None:
        torch.device(device or "cuda")  # type: ignore[call-overload] # as CUDA would refuse a name

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    require_device("cuda: NVIDIA H200")
    require_device("cpu")


def test_a_card_that_takes_no_more_work_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize(device: object = None) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    require_device("cpu")
    with pytest.raises(DeviceLost, match="illegal memory access"):
        require_device("cuda: NVIDIA H200")
