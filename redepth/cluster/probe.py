"""Ask a cluster one question, in a process that can be ended: `python -m redepth.cluster.probe`.

Ray's own connection tries for many minutes where something else than Ray listens, cannot be stopped
from outside, and ends the process that asks. So whoever wants to connect asks here first.
"""

from __future__ import annotations

import subprocess
import sys

from redepth.errors import ConfigError

PATIENCE_S = 30.0  # a cluster answers within one; starting Python and Ray takes some more
TOKEN_WORDS = ("authentication", "unauthenticated", "token")


def require_ray(address: str, patience_s: float = PATIENCE_S) -> None:
    """Return when a Ray cluster at "host:port" or "auto" has answered us.

    Raises:
        ConfigError: nobody did in time, or it wants a token that we have not.
    """
    command = [sys.executable, "-P", "-m", __name__, address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"no Ray cluster at {address}: something listens there and did not answer as Ray does "
            f"within {patience_s:g} s. Name the port of Ray's head (6379 by default), "
            "or leave --ray out for a private instance on this machine"
        ) from None
    if done.returncode != 0:
        raise ConfigError(_refusal(address, done.stderr))


def _refusal(address: str, said: str) -> str:
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    if any(word in last.lower() for word in TOKEN_WORDS):
        return (
            f"the Ray cluster at {address} wants a token that this process does not have: set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's"
        )
    return (
        f"no Ray cluster answers at {address}: {last.strip()}. Start one (ray start --head) or "
        "leave --ray out to use a private instance on this machine"
    )


def _ask(address: str) -> None:
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient

    if address == "auto":  # as ray.init does
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    client = GcsClient(address=canonicalize_bootstrap_address(address))
    client.internal_kv_get(b"session_name", b"session", timeout=PATIENCE_S)


if __name__ == "__main__":
    _ask(sys.argv[1])
