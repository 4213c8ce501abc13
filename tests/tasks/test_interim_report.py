"""The report of a run that goes on: written again and again, told once, and it stops nothing."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from redepth.images.allowed import ANYTHING
from redepth.store.dataset import begin
from redepth.store.planning import plan_labels
from tasks.interim_report import InterimReport
from tasks.publish_report import write_interim_report
from tests.store.store_samples import CARD, commit_all, images, recipe

WAIT_S = 60.0


class Written:
    """Counts the reports, and lets a test wait for the third."""

    def __init__(self, fails: bool = False) -> None:
        self.number, self.third, self._fails = 0, threading.Event(), fails

    def __call__(self) -> str | None:
        self.number += 1
        if self.number >= 3:
            self.third.set()
        if self._fails:
            raise OSError("disk full")
        return None if self.number == 1 else f"report {self.number}"


def test_it_is_written_again_and_told_once() -> None:
    write, told = Written(), list[str]()
    with InterimReport(write, 0.001, told.append):
        assert write.third.wait(WAIT_S)
    number = write.number
    assert told == ["report 2"], "the first one had no label"
    assert write.number == number, "none is written after the run"


def test_a_report_that_fails_is_said_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    write, told = Written(fails=True), list[str]()
    with caplog.at_level(logging.WARNING), InterimReport(write, 0.001, told.append):
        assert write.third.wait(WAIT_S)
    assert not told
    assert [r.getMessage() for r in caplog.records] == ["no report meanwhile: disk full"]


def test_zero_writes_none() -> None:
    write = Written()
    with InterimReport(write, 0.0, lambda url: None):
        pass
    assert write.number == 0


def test_it_shows_what_is_committed(tmp_path: Path) -> None:
    out, made = str(tmp_path), recipe()
    plan = plan_labels(images(4), out, made)
    begin(out, made, [CARD])
    assert write_interim_report(out, made, plan, 0, ANYTHING) is None, "nothing to show yet"
    commit_all(out, images(4), made)
    url = write_interim_report(out, made, plan, 4, ANYTHING)
    assert url is not None and url.endswith("/index.html")
    (page,) = tmp_path.glob("reports/*/index.html")
    assert all(one.id in page.read_text() for one in images(4))
