"""What every process that a command starts is to inherit."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Keep the working directory off `sys.path`, and what talks to this machine off its proxy.

    A folder of photographs may hold a `numpy.py`. `python -m` puts the working directory first on
    the path of modules; PYTHONSAFEPATH says not to. A proxy cannot reach this machine's loopback
    interface, where a run's own servers listen. RAY_CLIENT_MODE makes `import ray` the client of a
    cluster that nobody has named yet.
    """
    environment.pop("RAY_CLIENT_MODE", None)
    environment["PYTHONSAFEPATH"] = "1"
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = _with_loopback(environment.get(name, ""))


def _with_loopback(hosts: str) -> str:
    named = [host for host in (part.strip() for part in hosts.split(",")) if host]
    return ",".join([*named, *(host for host in LOOPBACK if host not in named)])
