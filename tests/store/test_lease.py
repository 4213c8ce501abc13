"""The lease: one run at a time, whoever dies, on a disk, a bucket and where little is promised."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redepth.config import LeaseSettings
from redepth.errors import LeaseLost, OutputBusy
from redepth.store import lease as leases
from redepth.store.conditional_puts import Versioned, read_versioned
from redepth.store.layout import LEASE
from redepth.store.lease import Holder, LeaseState, lease_of, output_lease
from redepth.store.objects import open_objects

WAIT = LeaseSettings(ttl_s=1.0, max_wait_s=30.0)
END = LeaseSettings(ttl_s=1.0, when_taken="end")


@pytest.fixture(
    params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)],
)
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "out")
    if request.param == "memory":
        return f"memory://{tmp_path}/out"
    return f"s3://{request.getfixturevalue('s3_bucket')}/out"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL_S", 0.1)


def seen_at(out: str) -> Versioned | None:
    return read_versioned(open_objects(out), LEASE)


def state_of(out: str) -> LeaseState:
    seen = seen_at(out)
    assert seen is not None
    return LeaseState.decode(seen.content)


def leave_lease(out: str, host: str = "elsewhere") -> None:
    """Leave the lease of a run that was killed."""
    holder = Holder("a killed run", host, "another boot", 1, 0.0)
    open_objects(out).put(LEASE, LeaseState(holder, "then", "then", 1.0).encode())


def test_one_of_many_gets_it(out: str) -> None:
    """Where nothing is promised (memory://) a put that is read back is all there is."""
    won: list[int] = []
    busy: list[int] = []
    start = threading.Barrier(6)

    def take(number: int) -> None:
        start.wait()
        try:
            with output_lease(out, END, f"run {number}"):
                won.append(number)
                all_others_gave_up.wait(30)
        except OutputBusy:
            busy.append(number)
            if len(busy) == 5:
                all_others_gave_up.set()

    all_others_gave_up = threading.Event()
    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(busy)) == (1, 5)


def test_who_is_at_work_is_told(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease_of(out) is None
    with output_lease(out, LeaseSettings(), "first run"):
        held = lease_of(out)
        assert held is not None and held.holder is not None and held.holder.run == "first run"
        monkeypatch.setattr(Holder, "is_known_dead", True)
        assert lease_of(out) is None, "its process is gone"
    monkeypatch.undo()
    assert lease_of(out) is None


def test_it_is_held_renewed_and_released(out: str) -> None:
    with output_lease(out, LeaseSettings(ttl_s=6.0), "first run") as lease:
        first = seen_at(out)
        lease.require()
        assert (state_of(out).holder or Holder.here("")).run == "first run"
        time.sleep(3.0)
        lease.require()
        assert seen_at(out) != first, "it was renewed"
    assert state_of(out).holder is None
    with output_lease(out, END, "next run"):
        holder = state_of(out).holder
        assert holder is not None and holder.run == "next run"


def test_the_second_waits(tmp_path: Path) -> None:
    out = str(tmp_path)
    order: list[str] = []
    heard: list[str] = []
    holding = threading.Event()

    def first() -> None:
        with output_lease(out, WAIT, "first"):
            holding.set()
            time.sleep(1.4)  # longer than the time-to-live: it is renewed
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    holding.wait()
    with output_lease(out, WAIT, "second", heard.append):
        order.append("second begins")
    thread.join()
    assert order == ["first ends", "second begins"]
    assert len(heard) == 1
    assert "first on " in heard[0]


def test_the_second_ends_where_the_recipe_says_so(tmp_path: Path) -> None:
    with (
        output_lease(str(tmp_path), WAIT, "first"),
        pytest.raises(OutputBusy, match=r"first on .*run\.lease\.when_taken: end"),
        output_lease(str(tmp_path), END, "second"),
    ):
        pytest.fail("both hold it")


def test_the_second_does_not_wait_for_ever(tmp_path: Path) -> None:
    impatient = LeaseSettings(ttl_s=1.0, max_wait_s=0.5)
    with (
        output_lease(str(tmp_path), WAIT, "first"),
        pytest.raises(OutputBusy, match="max_wait_s"),
        output_lease(str(tmp_path), impatient, "second"),
    ):
        pytest.fail("both hold it")


@pytest.mark.parametrize("settings", [WAIT, END], ids=["wait", "end"])
def test_a_dead_run_of_another_machine_holds_it_for_its_time_to_live(
    out: str, settings: LeaseSettings
) -> None:
    leave_lease(out)
    began = time.monotonic()
    with output_lease(out, settings, "next"):
        waited = time.monotonic() - began
    assert 0.9 < waited < 15


def test_a_run_that_was_killed_on_this_machine_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import sys, os, signal\n"
        "from redepth.config import LeaseSettings\n"
        "from redepth.store.lease import output_lease\n"
        "with output_lease(sys.argv[1], LeaseSettings(), 'killed'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert state_of(str(tmp_path)).holder is not None
    began = time.monotonic()
    with output_lease(str(tmp_path), END, "next"):
        assert time.monotonic() - began < 1


def test_a_lease_that_was_taken_is_lost(tmp_path: Path) -> None:
    out = str(tmp_path)
    with output_lease(out, WAIT, "first") as lease:
        leave_lease(out)
        deadline = time.monotonic() + 5
        with pytest.raises(LeaseLost, match="another run has taken it"):
            while time.monotonic() < deadline:
                lease.require()
                time.sleep(0.1)
    holder = state_of(out).holder
    assert holder is not None and holder.run == "a killed run", "it is not released for another"


def test_a_lease_that_cannot_be_renewed_is_lost_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with output_lease(str(tmp_path), WAIT, "first") as lease:
        monkeypatch.setattr(lease, "_renew", lambda: (_ for _ in ()).throw(OSError("gone")))
        time.sleep(0.5)
        lease.require()
        time.sleep(0.8)
        with pytest.raises(LeaseLost, match="could not be renewed"):
            lease.require()


def test_a_storage_that_is_gone_does_not_hide_why_a_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        output_lease(str(tmp_path), WAIT, "first") as lease,
    ):
        monkeypatch.setattr(lease, "_objects", None)
        raise ZeroDivisionError


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_no_holder_dead(
    ahead_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux reckons the times of all processes from the clock as it is now."""
    holder = Holder.here("at work")
    booted = psutil.boot_time() + ahead_s
    started = psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: booted)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: started(self) + ahead_s)
    assert not holder.is_known_dead
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: started(self) + ahead_s + 9)
    assert holder.is_known_dead, "another process has its number by now"


def test_a_run_that_was_stopped_for_longer_than_its_lease_has_lost_it(tmp_path: Path) -> None:
    """SIGSTOP, and another run takes over; SIGCONT, and the first one is told at once."""
    script = (
        "import sys, time\n"
        "from redepth.config import LeaseSettings\n"
        "from redepth.errors import LeaseLost\n"
        "from redepth.store.lease import output_lease\n"
        "with output_lease(sys.argv[1], LeaseSettings(ttl_s=1.0), 'stopped') as lease:\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    try:\n"
        "        lease.require()\n"
        "    except LeaseLost as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stopped:
        assert stopped.stdout is not None
        assert stopped.stdin is not None
        assert stopped.stdout.readline() == "held\n"
        stopped.send_signal(signal.SIGSTOP)
        with output_lease(str(tmp_path), WAIT, "second") as second:
            stopped.send_signal(signal.SIGCONT)
            said, _ = stopped.communicate("\n", timeout=30)
            second.require()
        assert "lease of this run was lost" in said
    assert state_of(str(tmp_path)).holder is None, "the second one released it"


@settings(max_examples=30)
@given(content=st.one_of(st.binary(), st.dictionaries(st.text(), st.none()).map(
    lambda values: json.dumps(values).encode())))  # fmt: skip
def test_an_unreadable_lease_is_that_of_an_unknown_run(content: bytes) -> None:
    state = LeaseState.decode(content)
    assert state.holder is not None
    assert not state.holder.is_known_dead


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl_s": "long"},
        {"ttl_s": -1},
        {"since": ["then"]},
        {"run": "x" * 100_000},
        {"pid": "one"},
        {"pid": -1},
        {"started": [0]},
    ],
)
def test_a_lease_that_no_run_writes_is_that_of_an_unknown_run(changes: dict[str, object]) -> None:
    values = json.loads(LeaseState(Holder.here("a run"), "then", "then", 1.0).encode())
    values["holder"] |= {key: changes[key] for key in changes if key in values["holder"]}
    values |= {key: changes[key] for key in changes if key in values}
    state = LeaseState.decode(json.dumps(values).encode())
    assert state.holder is not None
    assert "unreadable" in state.holder.run
    assert not state.holder.is_known_dead


def test_what_stands_in_a_lease_forges_no_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever could write to the output could write it; it is shown to who waits, and logged."""
    hostile = "me\nerror: forged\x1b[2J"
    holder = replace(Holder.here("a run"), run=hostile, host=hostile)
    state = LeaseState(holder, hostile, hostile, 0.5)
    open_objects(str(tmp_path)).put(LEASE, state.encode())
    said: list[str] = []
    with output_lease(str(tmp_path), WAIT, "second", said.append):
        pass
    assert len(said) == 1 and len(caplog.messages) == 1
    assert all(line.isprintable() for line in (*said, *caplog.messages))
