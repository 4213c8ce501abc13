"""A Ray of this run's own: on loopback, behind a token, in a folder that nobody else can enter.

Other users of the machine count as attackers: whoever reaches Ray runs code as the run's owner. So
every port is bound to loopback, Ray's token guards each, the token is made for this run and handed
on in the environment alone, and sockets and logs lie in a new folder of mode 0700.

Ray has no options for some of this. What is reached past its options is in `_ray_for_one_machine`,
and `_require_guarded` looks at the outcome: another release of Ray is refused rather than trusted.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import parameter, ray_constants, utils, worker
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._raylet import AuthenticationTokenLoader, Config
from ray.job_config import JobConfig

from redepth.cluster.watch import watched
from redepth.config import Actors
from redepth.errors import ConfigError

# The default takes a third of the machine's memory. Labels in flight are some MB each, and Ray
# spills to disk what does not fit.
OBJECT_STORE_BYTES = 1 << 30
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # Ray maps files without a name
PREFIX = "redepth-ray-"
LOCK = "lock"
# The kernel refuses paths of sockets over 107 bytes (103 on macOS); below its folder Ray needs
# "/session_2026-01-31_23-59-59_123456_1234567/sockets/plasma_store".
MAX_FOLDER_BYTES = 103 - 65
# What may tune a private instance. The rest of RAY_* speaks of other clusters, or of places where
# this one must not listen, read or write.
KEPT_SETTINGS = frozenset(
    (
        "RAY_memory_usage_threshold",
        "RAY_memory_monitor_refresh_ms",
        "RAY_worker_niceness",
        "RAY_BACKEND_LOG_LEVEL",
    )
)


class JobWithoutDriverPaths(JobConfig):  # type: ignore[misc]  # Ray is untyped
    """A job whose workers import what is installed, and nothing from the working directory.

    Ray puts the driver's working directory first on every worker's `sys.path`, unless the job
    ships a directory of its own. It may be a folder of photographs with a `numpy.py` in it.
    """

    def _runtime_env_has_working_dir(self) -> bool:
        return True


@contextmanager
def private_ray(actors: Actors) -> Iterator[None]:
    """Start Ray for this process alone, and end it with the block.

    Raises:
        ConfigError: it cannot be started here, or would not be guarded.
    """
    with _private_folder() as folder:
        try:
            _start(actors, folder)
            with watched(_servers(), folder):
                yield
        finally:
            ray.shutdown()
            _forget_token()


def _start(actors: Actors, folder: Path) -> None:
    environment = private_environment(os.environ, secrets.token_hex(32))
    try:
        with _environment(environment), _ray_for_one_machine():
            _init(actors, folder)
    except Exception as error:  # Ray raises Exception itself when a process of its own ends
        raise ConfigError(
            f"Ray did not start on this machine: {type(error).__name__}: {_first_line(error)}. "
            "Look for too little memory (free -m), a full disk (df) or too few processes "
            "(ulimit -u), or name a cluster with --ray"
        ) from error
    _require_guarded()


def _init(actors: Actors, folder: Path) -> None:
    wanted_cpus = (actors.num_actors or 1) * actors.num_cpus + actors.num_decoders
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, int(-(-wanted_cpus // 1))),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        job_config=JobWithoutDriverPaths(),
        _node_ip_address="127.0.0.1",
        # Ray opens its own folder to everybody (mode 0777); the one around it stays shut.
        _temp_dir=str(folder / "r"),
        _plasma_directory=str(_object_store_folder(folder)),
        _system_config={"enable_metrics_collection": False},
    )


def _servers() -> list[psutil.Process]:
    """Return the processes of Ray that a run cannot do without."""
    started = worker._global_node.all_processes
    kinds = (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET)
    return [psutil.Process(info.process.pid) for kind in kinds for info in started[kind]]


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter, for Ray's sockets, logs and spilled objects."""
    parent = short_folder()
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (folder / "new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / "new").rename(folder / LOCK)  # nobody sees it before it is held
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the folders of this user's runs that were killed: nobody holds their locks."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink():
                _remove_unless_locked(folder)


def _remove_unless_locked(folder: Path) -> None:
    with (folder / LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def short_folder() -> Path:
    """Return where temporary files go, or /tmp where that name is too long for Ray's sockets.

    Raises:
        ConfigError: neither will do.
    """
    room = MAX_FOLDER_BYTES - len(f"/{PREFIX}12345678/r")
    usual = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108  # mkdtemp makes it, mode 0700
    for folder in map(Path, usual):
        if len(os.fsencode(folder)) <= room and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise ConfigError(
        f"Ray's sockets have no place: the name of TMPDIR ({tempfile.gettempdir()}) has more than "
        f"{room} characters, and /tmp cannot be written. Set TMPDIR to a folder with a short name "
        "on this machine's own disk"
    )


def _object_store_folder(folder: Path) -> Path:
    """Return shared memory where it has room for the object store, else the private folder."""
    with suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free >= OBJECT_STORE_BYTES:
            return SHARED_MEMORY
    return folder


def private_environment(environ: Mapping[str, str], token: str) -> dict[str, str]:
    """Return the environment that Ray and its workers start with.

    Args:
        environ: of this process. Of RAY_* only what tunes memory and niceness is taken over, and of
            PYTHONPATH only the absolute folders: another names the working directory.
        token: what every request to this Ray must carry.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("RAY_") or name in KEPT_SETTINGS
    }
    paths = kept.pop("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(path for path in paths if Path(path).is_absolute())
    if absolute:
        kept["PYTHONPATH"] = absolute
    return kept | {
        "PYTHONSAFEPATH": "1",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Have another environment while the block runs; what it starts keeps it."""
    before = dict(os.environ)
    _become(wanted)
    try:
        yield
    finally:
        _become(before)


def _become(wanted: Mapping[str, str]) -> None:
    # Not cleared and filled: other threads read the environment meanwhile.
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


@contextmanager
def _ray_for_one_machine() -> Iterator[None]:
    """Start Ray as on a laptop, and without the parts that answer without a token.

    - Ray replaces a loopback address by the machine's own, except where it knows of one machine
      alone (its setting for Windows and macOS).
    - With ray[default] installed, its agent serves jobs, logs and metrics over HTTP, and metrics
      need no token. A plain `ray` has no such agent; this makes it start as that one does.
    - The autoscaler's monitor serves metrics without a token, and the log monitor's lines go
      nowhere.
    """
    without_monitors = partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    with ExitStack() as stack:
        stack.enter_context(replaced(ray_constants, "ENABLE_RAY_CLUSTER", False))
        stack.enter_context(replaced(parameter, "RayParams", without_monitors))
        stack.enter_context(
            replaced(utils, "get_dashboard_dependency_error", lambda: ImportError("not wanted"))
        )
        yield


@contextmanager
def replaced(module: Any, name: str, value: object) -> Iterator[None]:
    """Have a name of a module stand for something else while the block runs."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _require_guarded() -> None:
    """Refuse a Ray that asks for no token, or listens where others can reach it.

    Raises:
        ConfigError: says which.
    """
    reachable = open_listeners()
    if is_token_auth_enabled() and not reachable:
        return
    found = f"it listens at {', '.join(reachable)}" if reachable else "it asks for no token"
    raise ConfigError(
        f"the private Ray of this run would be open to others ({found}): ray {ray.__version__} is "
        "another release than redepth was tested with. Install with -c constraints.txt, or name a "
        "guarded cluster with --ray"
    )


def open_listeners() -> list[str]:
    """Return where this process and those it started listen other than on loopback."""
    me = psutil.Process()
    found: set[str] = set()
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            found |= {
                f"{at.laddr.ip}:{at.laddr.port} ({process.name()})"
                for at in process.net_connections("tcp")
                if at.status == psutil.CONN_LISTEN and not _is_loopback(at.laddr.ip)
            }
    return sorted(found)


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _forget_token() -> None:
    """Have this process read mode and token anew: the next connection may be to a cluster."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
