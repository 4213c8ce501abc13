"""Who gets which photograph, how much room there is, and what is not sent: without Ray."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from redepth.cluster import readiness, session
from redepth.cluster.actor import LabelActor
from redepth.cluster.calls import Call, Slot
from redepth.cluster.decoding import Decoders
from redepth.config import Actors, Decoding, LabelSettings, load_recipe
from redepth.errors import ConfigError
from redepth.geometry.sizes import UpperBound
from redepth.images.allowed import ANYTHING
from redepth.labelling.preparing import Preparer
from redepth.types import ImageRef


class Process:
    """Stands for an actor's handle: `ready` gives no answer yet, `prepare` two references."""

    def __init__(self) -> None:
        self.ready = SimpleNamespace(remote=lambda: "ready")
        self.prepare = SimpleNamespace(remote=lambda ref, before: (ref.id, f"picture of {ref.id}"))


def decoders(number: int, *names: str) -> Decoders:
    found = Decoders(number)
    found.slots = [Slot(Process()) for _ in range(number)]
    found.waiting.extend(Call(ImageRef(name, f"/{name}"), Future()) for name in names)
    return found


def assign(given: Decoders, num_prepared: int = 0) -> list[list[str]]:
    """Give out what can be, and return what each decoder has."""
    for slot, call in given.assign(num_prepared):
        given.decode(slot, call)
    return [[call.image.id for call in slot.calls] for slot in given.slots]


def test_a_decoder_has_one_to_work_on_and_one_that_waits() -> None:
    given = decoders(2, *"abcdef")
    assert assign(given) == [["a", "c"], ["b", "d"]]
    assert [call.image.id for call in given.waiting] == ["e", "f"]
    assert [call.image.id for _, call in given.at_work()] == ["a", "b"]
    assert given.take(given.slots[0]).image.id == "a"
    assert [call.image.id for _, call in given.at_work()] == ["c", "b"]
    assert assign(given) == [["c", "e"], ["b", "d"]]


def test_nothing_is_given_out_while_as_many_wait_for_actors_as_there_are_decoders() -> None:
    assert assign(decoders(2, *"abc"), num_prepared=2) == [[], []]
    assert assign(decoders(2, *"abc"), num_prepared=1) == [["a", "c"], ["b"]]


def test_only_what_a_decoder_was_at_is_blamed_for_its_death() -> None:
    given = decoders(1, *"abc")
    assert assign(given) == [["a", "b"]]
    blamed = given.restart(given.slots[0])
    assert (blamed.image.id, blamed.prepared) == ("a", None)
    assert [call.image.id for call in given.waiting] == ["b", "c"]
    assert assign(given) == [[]], "its process is not there yet"


def test_what_a_decoder_died_of_is_alone_the_next_time() -> None:
    given = decoders(2, *"abcd")
    given.waiting[0].decoder_crashes = 1
    assert assign(given) == [["a"], ["b", "c"]]
    behind = decoders(1, *"ab")
    behind.waiting[1].decoder_crashes = 1
    assert assign(behind) == [["a"]], "nor does it wait behind another one"


def test_the_actors_leave_the_decoders_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"CPU": 16.0, "GPU": 0.0}
    monkeypatch.setattr("redepth.cluster.session.ray.available_resources", lambda: there)
    assert session.num_actors_that_fit(Actors(num_cpus=2)) == 8
    assert session.num_actors_that_fit(Actors(num_cpus=2, num_decoders=6)) == 5
    assert session.num_actors_that_fit(Actors(num_cpus=2, num_decoders=60)) == 1


def test_decoders_count_where_files_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(readiness, "_require_open_files", asked.append)
    for settings in ((), ("run.actors.num_decoders=5",)):
        readiness.require_readiness(load_recipe("mini-coarse", settings), None)
    assert asked[1] - asked[0] == 5 * readiness.OPEN_FILES_PER_ACTOR


class Network:
    """A coarse model whose processing size is a method of its own."""

    def __init__(self, num_weights: int, **others: Any) -> None:
        self.weights = np.zeros(num_weights)
        self.others = others

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return height_px, width_px


def actor(processing_size: Any) -> LabelActor:
    settings = LabelSettings()
    preparer = Preparer(Decoding(), processing_size, ANYTHING)
    return LabelActor(settings, ANYTHING, lambda _: SimpleNamespace(preparer=preparer), 1)


def test_decoders_are_sent_no_network() -> None:
    rule = UpperBound(518, 14)
    assert actor(rule).preparer() == Preparer(Decoding(), rule, ANYTHING)
    assert actor(Network(10).processing_size).preparer(), "a small one will do"
    for network in (Network(10**6), Network(10, lock=threading.Lock())):
        with pytest.raises(ConfigError, match="cannot be sent to decoders without the model"):
            actor(network.processing_size).preparer()
