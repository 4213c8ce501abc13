"""A student's rounds: the same labels are the same round, more labels the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from redepth.distillation.rounds import NAME, Rounds, read_rounds, write_rounds
from redepth.errors import ConfigError
from redepth.store.objects import open_objects


def test_more_labels_are_the_next_round_once_one_has_ended(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    rounds = read_rounds(objects)
    first = rounds.current(["teacher"], ["a", "b"])
    assert (first.number, first.folder, rounds.before(1)) == (1, "round-1", None)
    write_rounds(objects, rounds.with_round(first))
    begun = read_rounds(objects)
    assert begun.current(["teacher"], ["a", "b"]) == first  # resumed
    assert begun.current(["teacher"], ["a", "b", "c"]).number == 1  # the first never ended
    ended = begun.with_round(first.model_copy(update={"kept_share": 0.2}))
    assert ended.current(["teacher"], ["a", "b"]).kept_share == 0.2
    second = ended.current(["teacher", "more"], ["a", "b", "c"])
    assert second.number == 2
    before = ended.before(second.number)
    assert before is not None and before.folder == "round-1"


def test_what_is_no_list_of_rounds_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("[]")
    with pytest.raises(ConfigError, match=r"is no list of rounds of redepth distill"):
        read_rounds(open_objects(str(tmp_path)))
    assert Rounds().rounds == ()
