"""Devices by the names that CUDA gives them."""

from __future__ import annotations

import pytest
import torch

from redepth.costing.devices import device_name, limits_of


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A10", 125),
        ("Tesla T4", 65),
    ],
)
def test_a_card_has_the_limit_of_its_data_sheet(name: str, tera: float) -> None:
    for said in (name, f"cuda: {name}"):
        limits = limits_of(said)
        assert limits is not None
        assert limits["float16"] == tera * 1e12


@pytest.mark.parametrize(
    "name",
    [
        "cpu",
        "cuda",
        "NVIDIA A10G",  # less than an A10, and no A100
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3090 Ti",
    ],
)
def test_what_is_not_known_has_no_limit(name: str) -> None:
    assert limits_of(name) is None


def test_a_device_is_named_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_name(torch.device("cpu")) == "cpu"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert device_name(torch.device("cuda")) == "cuda: NVIDIA H200"
