"""What every process that a command starts inherits."""

from __future__ import annotations

import pytest

from flows.process_environment import prepare_environment

LOOPBACK = "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, LOOPBACK),
        ({"NO_PROXY": "example.org"}, f"example.org,{LOOPBACK}"),
        ({"NO_PROXY": "localhost, example.org,"}, "localhost,example.org,127.0.0.1,::1"),
    ],
)
def test_what_listens_here_is_spoken_to_without_a_proxy(before: dict[str, str], after: str) -> None:
    environment = dict(before)
    prepare_environment(environment)
    assert environment["NO_PROXY"] == after


def test_modules_do_not_come_out_of_the_working_directory() -> None:
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment["PYTHONSAFEPATH"] == "1"


def test_ray_is_imported_as_itself() -> None:
    """With it `import ray` is a client of a cluster, before anybody has named one."""
    environment = {"RAY_CLIENT_MODE": "1", "RAY_ADDRESS": "head:6379"}
    prepare_environment(environment)
    assert "RAY_CLIENT_MODE" not in environment
    assert environment["RAY_ADDRESS"] == "head:6379"
