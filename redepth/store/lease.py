"""The lease on an output: one run works on it at a time, and a run that died holds it no longer.

`lease.json` at the output's root says who works there. It guards against work that is done twice,
not the truth: what is done is what `labels/` says, with or without a lease.

A holder renews its lease. Whoever finds it taken watches it by its own clock, so that clocks of two
machines need not agree: a lease that did not change for its whole time-to-live is dead. On the
machine of the holder one need not wait: there the process itself is looked for.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
from pydantic import Field, TypeAdapter, ValidationError

from redepth.config import LeaseSettings
from redepth.errors import LeaseLost, OutputBusy, TransientError
from redepth.printable import one_line
from redepth.store.conditional_puts import Versioned, put_if_unchanged, read_versioned
from redepth.store.layout import LEASE
from redepth.store.objects import Objects, open_objects

logger = logging.getLogger(__name__)

POLL_S = 1.0
CLOCK_TOLERANCE_S = 5.0
_RENEWALS = 4  # within one time-to-live
_PUTS_TRIED = 20
# Where nothing compares, two puts may both pass within a moment: the last one is looked for then.
_SETTLE_S = 0.5


_Text = Annotated[str, Field(max_length=300)]
_MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease.

    Attributes:
        run: the run's name, for people.
        host: where it runs.
        machine: this boot of it and, in a container, the container's own process numbers.
        pid: number of the process there.
        started: when it started, in seconds after the machine did: numbers come again, and a clock
            that is set moves neither.
        nonce: of this one acquisition.
    """

    run: _Text
    host: _Text
    machine: _Text
    pid: Annotated[int, Field(ge=0, lt=1 << 31)]
    started: float
    nonce: _Text = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def here(cls, run: str) -> Holder:
        """Return this process, as the holder of a new lease."""
        started = _started(psutil.Process())
        return cls(run[:300], socket.gethostname(), _machine(), os.getpid(), started)

    @property
    def is_known_dead(self) -> bool:
        """Whether it was a process of this machine that is not there any more."""
        if self.host != socket.gethostname() or self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.pid)
            return (
                process.status() == psutil.STATUS_ZOMBIE
                or abs(_started(process) - self.started) > CLOCK_TOLERANCE_S
            )
        except psutil.Error:
            return True


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What `lease.json` says. No holder: nobody works there."""

    holder: Holder | None
    since: _Text
    renewed: _Text
    ttl_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @classmethod
    def decode(cls, content: bytes) -> LeaseState:
        """Read `lease.json`; what cannot be read is held by nobody that is known."""
        try:
            return _STATE.validate_json(content[: _MAX_BYTES + 1])
        except ValidationError:
            unknown = Holder("a run that left an unreadable lease", "unknown", "", 0, 0.0, "")
            return cls(unknown, "an unknown time", "an unknown time", 60.0)

    def encode(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


_STATE = TypeAdapter(LeaseState)


class Lease:
    """A lease that is held and renewed until it is released; see `output_lease`."""

    def __init__(self, objects: Objects, seen: Versioned, state: LeaseState) -> None:
        self._objects = objects
        self._out = objects.url
        self._seen = seen
        self._state = state
        self._lost: str | None = None
        self._ending = threading.Event()
        self._renewed = _clock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Return if the lease is still held.

        Raises:
            LeaseLost: another run may be at work by now.
        """
        if self._lost is None and _clock() - self._renewed > self._state.ttl_s:
            self._lost = f"could not be renewed for {self._state.ttl_s:g} s"
        if self._lost is not None:
            raise LeaseLost(
                f"{self._out}: the lease of this run was lost ({self._lost}); what is committed "
                "stays, run again for the rest"
            )

    def release(self) -> None:
        """Stop renewing, and say that nobody works here any more; never raises.

        A storage that is gone must not hide why the run ended: the lease is over by itself.
        """
        self._ending.set()
        self._thread.join()
        if self._lost is not None:
            return
        free = LeaseState(None, self._state.since, _now(), self._state.ttl_s)
        try:
            if not put_if_unchanged(self._objects, LEASE, free.encode(), self._seen):
                logger.warning(
                    "%s: the lease was taken by another run, or removed, before its end", self._out
                )
        except Exception as error:
            logger.warning("%s: the lease was not given back: %s", self._out, error)

    def _keep(self) -> None:
        while not self._ending.wait(self._state.ttl_s / _RENEWALS) and self._lost is None:
            try:
                self._renew()
            except Exception as error:  # the storage may be back before the lease is over
                logger.warning("%s: the lease was not renewed: %s", self._out, error)

    def _renew(self) -> None:
        state = LeaseState(self._state.holder, self._state.since, _now(), self._state.ttl_s)
        began = _clock()
        put_if_unchanged(self._objects, LEASE, state.encode(), self._seen)
        # Whatever it said: a put whose answer was lost has arrived all the same.
        seen = _read_ours(self._objects, state)
        if seen is None:
            self._lost = "another run has taken it, or it was removed"
            return
        self._seen, self._renewed = seen, began


@contextmanager
def output_lease(
    out: str,
    settings: LeaseSettings,
    run: str,
    on_wait: Callable[[str], None] = lambda words: None,
) -> Iterator[Lease]:
    """Hold the lease on an output while the block runs.

    Args:
        run: names this run to others.
        on_wait: is told, once, for whom this run waits.

    Raises:
        OutputBusy: another run works there, and the recipe says not to wait, or it waited too long.
        ConfigError: the output cannot be written.
    """
    lease = _acquire(out, settings, run, on_wait)
    try:
        yield lease
    finally:
        lease.release()


def _acquire(out: str, settings: LeaseSettings, run: str, on_wait: Callable[[str], None]) -> Lease:
    objects = open_objects(out)
    watch = _Watch(out, settings, on_wait)
    num_puts = 0
    while True:
        seen = read_versioned(objects, LEASE)
        if watch.is_free(seen):
            state = LeaseState(Holder.here(run), _now(), _now(), settings.ttl_s)
            ours = _take(objects, state, seen)
            if ours is not None:
                return Lease(objects, ours, state)
            num_puts += 1
            if num_puts > _PUTS_TRIED:
                raise TransientError(f"{out}: {LEASE} changes at every look; run again")
            continue
        time.sleep(POLL_S)


def _take(objects: Objects, state: LeaseState, seen: Versioned | None) -> Versioned | None:
    """Put a lease over what was seen, which is free; None if another run came first."""
    if not put_if_unchanged(objects, LEASE, state.encode(), seen):
        return None
    if not objects.is_local:
        time.sleep(_SETTLE_S)
    return _read_ours(objects, state)


def lease_of(out: str) -> LeaseState | None:
    """Return the lease of a run that may be at work on an output; None where nobody holds one.

    Of this machine's runs it is known whether they live; of another's, `renewed` has to tell.
    """
    there = read_versioned(open_objects(out), LEASE)
    state = None if there is None else LeaseState.decode(there.content)
    if state is None or state.holder is None or state.holder.is_known_dead:
        return None
    return state


def _read_ours(objects: Objects, state: LeaseState) -> Versioned | None:
    """Read the lease that is there now; None if it is not of this holder."""
    there = read_versioned(objects, LEASE)
    if there is None or LeaseState.decode(there.content).holder != state.holder:
        return None
    return there


class _Watch:
    """Tells whether a lease may be taken, from how it changes as time goes by here."""

    def __init__(self, out: str, settings: LeaseSettings, on_wait: Callable[[str], None]) -> None:
        self._out = out
        self._settings = settings
        self._on_wait = on_wait
        self._began: float | None = None
        self._content: bytes | None = None
        self._since = 0.0

    def is_free(self, seen: Versioned | None) -> bool:
        """Whether nobody holds what was seen, or only a holder that is dead.

        Raises:
            OutputBusy: somebody does, and this run is not to wait (any longer).
        """
        if seen is None:
            return True
        state = LeaseState.decode(seen.content)
        if state.holder is None:
            return True
        if state.holder.is_known_dead:
            logger.warning("%s: %s", self._out, _words(state, "its process is gone"))
            return True
        now = _clock()
        if seen.content != self._content:
            self._content, self._since = seen.content, now
        elif now - self._since > state.ttl_s:
            logger.warning("%s: %s", self._out, _words(state, "it renews its lease no longer"))
            return True
        self._wait(state, now)
        return False

    def _wait(self, state: LeaseState, now: float) -> None:
        """Go on waiting, or end.

        With `end`, too, a lease is watched until it is renewed, which shows that its run lives:
        else a dead run's lease would end every later run.
        """
        words = _words(state, f"renewed at {state.renewed}")
        if self._began is None:
            self._began = now
            self._on_wait(f"waiting for the lease of {self._out}: {words}")
        elif self._settings.when_taken == "end" and self._since > self._began:
            raise OutputBusy(
                f"{self._out}: {words}; this run ends here (run.lease.when_taken: end), nothing "
                "was done"
            )
        elif now - self._began > self._settings.max_wait_s:
            raise OutputBusy(
                f"{self._out}: {words}; waited for {self._settings.max_wait_s:g} s "
                "(run.lease.max_wait_s); run again later"
            )


def _words(state: LeaseState, how: str) -> str:
    holder = state.holder
    assert holder is not None
    # Whoever could write to the output could write these.
    name, host, since = map(one_line, (holder.run, holder.host, state.since))
    return f"{name} on {host} (process {holder.pid}) has it since {since}, {one_line(how)}"


def _started(process: psutil.Process) -> float:
    # Both are computed from the clock as it is now: a clock that was set moves both alike.
    return float(process.create_time() - psutil.boot_time())


def _clock() -> float:
    """Tell the seconds since the machine started, those included in which it was suspended."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


def _machine() -> str:
    """Name this boot of this machine and, in a container, the container's own process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{psutil.boot_time():.0f}"


def _now() -> str:
    # Milliseconds: a lease that was renewed must differ from what it was.
    return datetime.now(UTC).isoformat(timespec="milliseconds")
