"""A connection to Ray: a private local instance, or a cluster that is already there."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, NoReturn

import ray
from ray._private import worker
from ray.exceptions import RayError

from redepth.cluster.private_ray import JobWithoutDriverPaths, private_ray, replaced
from redepth.cluster.probe import require_ray
from redepth.config import Actors
from redepth.errors import ConfigError

logger = logging.getLogger(__name__)

KNOCK_TIMEOUT_S = 10.0


SignalHandler = Callable[[int, FrameType | None], Any]


@contextmanager
def ray_session(
    address: str | None, actors: Actors, on_sigterm: SignalHandler | None = None
) -> Iterator[str | None]:
    """Be connected to Ray while the block runs; yields the URL of its dashboard, if it has one.

    Args:
        address: of a running cluster ("auto", "host:6379", "ray://host:10001"); None starts a
            private instance on the loopback interface, which ends with the block.
        on_sigterm: handles SIGTERM in the block; None unwinds as Ctrl-C does. Ray's own handler,
            set when it connects, would abort the process on the spot.

    Raises:
        ConfigError: no cluster answers at the address.
    """
    with ExitStack() as stack:
        stack.enter_context(replaced(worker, "print_to_stdstream", _note))
        dashboard = None
        if address is None:
            stack.enter_context(private_ray(actors))
            _require_room(actors)
        else:
            dashboard = stack.enter_context(_connected(address))
        stack.enter_context(_handling_sigterm(on_sigterm or _leave))
        yield dashboard


def _note(said: Mapping[str, Any], ignore_prefix: bool) -> None:
    """Take what Ray would print of tasks and actors: whoever waits for one of them is told."""
    logger.debug("%s", "\n".join(said["lines"]))


@contextmanager
def _handling_sigterm(handler: SignalHandler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _require_room(actors: Actors) -> None:
    """Refuse at once what this machine can never hold; a cluster may still grow.

    Raises:
        ConfigError: too few GPUs for the actors asked for, or for one.
    """
    num_gpus = ray.cluster_resources().get("GPU", 0.0)
    wanted = (actors.num_actors or 1) * actors.num_gpus
    if wanted > num_gpus:
        raise ConfigError(
            f"the recipe wants {wanted:g} GPU{'' if wanted == 1 else 's'} "
            f"({actors.num_actors or 1} x run.actors.num_gpus: {actors.num_gpus:g}) and this "
            f"machine has {num_gpus:g}. Run where there are enough, name a cluster with --ray, "
            "or take a recipe for a CPU, such as mini (redepth recipes)"
        )


@contextmanager
def _connected(address: str) -> Iterator[str | None]:
    try:
        yield _connect(address)
    finally:
        ray.shutdown()


def _connect(address: str) -> str | None:
    require_cluster(address)
    # A worker must not import what lies in the driver's working directory. On the client's side
    # of a ray:// address Ray does not ship it, and the server could not read this class.
    is_client = "://" in address
    given = {} if is_client else {"job_config": JobWithoutDriverPaths()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what it raises
            context = ray.init(
                address=address, log_to_driver=False, logging_level=logging.CRITICAL, **given
            )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise ConfigError(
            f"the Ray cluster at {address} was not joined: {_first_line(error)}. It must run the "
            "same ray and Python as this process, and want a token only if RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN are set here; leave --ray out to use a private instance"
        ) from error
    return f"http://{context.dashboard_url}" if context.dashboard_url else None


def require_cluster(address: str) -> None:
    """Ask before Ray does: it would go on for many minutes where nobody, or not Ray, listens.

    A ray:// address is only knocked at: Ray's client has time-outs of its own, 30 s in all.

    Raises:
        ConfigError: says what was tried.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"no Ray cluster answers at {address}: {error} (tried for {KNOCK_TIMEOUT_S:g} s). "
            "Start one (ray start --head) or leave --ray out to use a private instance on this "
            "machine"
        ) from error
    if "://" not in address:
        require_ray(address)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def num_actors_that_fit(actors: Actors) -> int:
    """Return the recipe's number of actors, or as many as Ray has room for, at least 1.

    The cores of the decoders are left to them.
    """
    if actors.num_actors is not None:
        return actors.num_actors
    free = ray.available_resources()
    cpus = free.get("CPU", 0.0) - actors.num_decoders
    fits = [
        there // needed
        for there, needed in ((cpus, actors.num_cpus), (free.get("GPU", 0.0), actors.num_gpus))
        if needed > 0
    ]
    return max(1, int(min(fits, default=1)))
