"""The words of a run's page: what an operator reads while a run goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from markdown_it import MarkdownIt

from redepth.config import load_recipe
from redepth.costing.stages import StageSeconds
from redepth.costing.tally import WorkTally
from redepth.flops import ImageWork
from redepth.report.pictures import LabelPicture
from redepth.store.planning import Plan
from redepth.types import LabelRow, Outcome
from tasks.progress import RunFigures, RunProgress
from tasks.publish_report import _named
from tasks.run_page import LABELLING, RunPlace, at_a_glance, duration_words, page_markdown

RECIPE = load_recipe("mini", ("run.cost.price_per_actor_hour=2.5",))
FREE = load_recipe("mini")
PLACE = RunPlace("s3://key:secret@bucket/photos", "s3://bucket/labels?token=secret")
PLAN = Plan("m", 120, 20, 100, 4, 0, dict.fromkeys(Outcome, 0), num_changed=3, num_vanished=5,
            vanished=("a", "b", "c", "d", "e"))  # fmt: skip
HALF = RunFigures(
    100, {Outcome.REFINED: 45, Outcome.REJECTED: 4, Outcome.FAILED: 1},
    {(Outcome.REJECTED, "not an image | at all"): 4, (Outcome.FAILED, "out of memory"): 1},
    {(Outcome.REJECTED, "not an image | at all"): "x-1", (Outcome.FAILED, "out of memory"): "y-2"},
    seconds_labelling=1800.0, seconds_of_actors=3600.0, num_actors=2,
)  # fmt: skip
NOTHING_YET = RunFigures(100, {}, {}, {}, 0.0, 3.0, 0)


def test_the_page_answers_what_is_asked() -> None:
    page = page_markdown(PLACE, RECIPE, PLAN, HALF, LABELLING)
    for words in (
        "| stage | labelling |",
        "**50 of 100** images (50%)",
        "**100 images an hour** on 2 actors",
        "about 30 min",
        "**5.00 USD** (2 actor hours)",
        "45 refined, 4 rejected, 1 failed",
        "120 listed, 20 done already",
        "3, labelled anew, but for those whose bytes are the same",
        "5 labelled before and not there any more: `a`, `b`, `c`, ...",
        "| 4 | rejected | `not an image ¦ at all` | `x-1` |",
        "| 1 | failed | `out of memory` | `y-2` |",
    ):
        assert words in page
    assert "secret" not in page


def test_before_the_actors_are_there() -> None:
    page = page_markdown(PLACE, FREE, PLAN, NOTHING_YET, LABELLING)
    assert "| stage | starting actors |" in page
    assert page.count("not known yet") == 2
    assert "Why images" not in page


def test_at_the_end_the_report_is_linked() -> None:
    place = RunPlace("photos", "labels", "https://host/reports/x/index.html", "http://ray:8265")
    page = page_markdown(place, FREE, PLAN, HALF, "ended")
    assert "[`https://host/reports/x/index.html`](https://host/reports/x/index.html)" in page
    assert "[`http://ray:8265`](http://ray:8265)" in page
    assert "time left" not in page
    assert "2 actor hours (no price: run.cost.price_per_actor_hour)" in page


STAGED = WorkTally(StageSeconds(50, 4000.0, 600.0, 25.0, 720.0))


def test_the_page_says_how_busy_the_models_were_and_what_to_do() -> None:
    staged = replace(HALF, work=STAGED, seconds_of_work=1800.0)
    page = page_markdown(PLACE, RECIPE, PLAN, staged, LABELLING)
    for words in (
        "| models busy | 20% of the time of 2 actors; they waited for photographs 80% of it |",
        "| an image | 14.4 s in the models, 12 s to read and decode; decoded, it waited 0.5 s",
        "| to be faster | the models waited for photographs 80% of the time: give actors more",
    ):
        assert words in page
    assert "models 20% busy" in at_a_glance(staged, RECIPE, LABELLING)
    assert "models busy" not in page_markdown(PLACE, RECIPE, PLAN, HALF, LABELLING)


def test_progress_adds_up_the_work_of_rows_and_takes_it_back() -> None:
    progress = RunProgress(3)
    progress.begin(1)
    row = LabelRow(
        id="a", uri="a", outcome=Outcome.REFINED, seconds=3.0, model_seconds=2.0, height_px=4,
        width_px=6, device="cpu",
    )  # fmt: skip
    with progress.shard() as shard:
        shard.count(row)
    with pytest.raises(RuntimeError), progress.shard() as shard:
        shard.count(row)
        raise RuntimeError
    figures = progress.figures()
    assert (figures.work.stages.num_staged, figures.work.stages.model) == (1, 2.0)
    assert figures.work.images == {ImageWork(4, 6): 1}
    assert 0.0 < figures.seconds_of_work <= figures.seconds_labelling


def test_at_a_glance() -> None:
    assert at_a_glance(HALF, RECIPE, LABELLING) == (
        "50 of 100, 30 min left, 4 rejected, 1 failed, 100 an hour, 5.00 USD"
    )
    assert at_a_glance(NOTHING_YET, FREE, LABELLING) == "0 of 100"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1 h 30 min"),
     (172_799, "48 h 00 min"), (400_000, "4.6 days")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) in (words, words.replace("48 h 00 min", "2.0 days"))


def test_a_shard_that_fails_gives_its_counts_back() -> None:
    progress = RunProgress(3)
    good = LabelRow(id="a", uri="a", outcome=Outcome.REFINED)
    bad = LabelRow(id="b", uri="b", outcome=Outcome.REJECTED, reason="why")
    with progress.shard() as shard:
        shard.count(good)
    with pytest.raises(RuntimeError), progress.shard() as shard:
        shard.count(bad)
        assert progress.figures().reasons == {(Outcome.REJECTED, "why"): 1}
        raise RuntimeError
    figures = progress.figures()
    assert (figures.num_done, dict(figures.reasons), figures.rejected_share) == (1, {}, 0.0)


def test_kept_labels_are_counted_among_the_outcomes_and_by_themselves() -> None:
    progress = RunProgress(3)
    made = LabelRow(id="a", uri="a", outcome=Outcome.REFINED)
    kept = LabelRow(id="b", uri="b", outcome=Outcome.REFINED, array_group="s-0", array_index=0)
    with progress.shard() as shard:
        shard.count(made)
        shard.count(kept)
    with pytest.raises(RuntimeError), progress.shard() as shard:
        shard.count(kept)
        raise RuntimeError
    figures = progress.figures()
    assert (figures.outcomes, figures.num_kept) == ({Outcome.REFINED: 2}, 1)
    page = page_markdown(PLACE, RECIPE, PLAN, figures, LABELLING)
    words = "1 photograph was touched but has the same bytes: its label was kept"
    assert f"| kept | {words} |" in page
    assert "| kept |" not in page_markdown(PLACE, RECIPE, PLAN, HALF, LABELLING)


def test_a_recipe_that_keeps_what_changed_says_so() -> None:
    keeps = load_recipe("mini", ("run.changed=keep",))
    assert "3, labels kept (run.changed)" in page_markdown(PLACE, keeps, PLAN, HALF, LABELLING)


def test_rejected_share() -> None:
    assert HALF.rejected_share == pytest.approx(0.1)


EVIL = "`x` \\| ![a](http://evil/a.png) <img src=http://evil> [b](http://evil) | **c**\n\n# head\n"


def test_names_and_reasons_are_letters_in_the_page() -> None:
    plan = replace(PLAN, vanished=(EVIL,))
    reasons = {(Outcome.FAILED, EVIL): 1}
    figures = replace(HALF, reasons=reasons, examples={(Outcome.FAILED, EVIL): EVIL})
    place = RunPlace(EVIL, EVIL, f"http://host/a) ![]({EVIL}", EVIL)
    page = page_markdown(place, RECIPE, plan, figures, LABELLING)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {child.type for child in inline}
    assert kinds <= {
        "text",
        "code_inline",
        "strong_open",
        "strong_close",
        "link_open",
        "link_close",
    }
    links = [child.attrs["href"] for child in inline if child.type == "link_open"]
    assert len(links) == 1
    assert str(links[0]).startswith("http://host/a")
    assert [t.type for t in tokens].count("heading_open") == 1, "the page's own"
    assert all(t.type == "td_open" for t in tokens if t.type.startswith("html"))


def test_a_report_of_labels_shows_ids_as_letters() -> None:
    rows = [LabelRow(id=EVIL, uri=EVIL, outcome=Outcome.REFINED)]
    maps = np.zeros((2, 2), np.float32)
    page = _named([LabelPicture(row, None, maps, maps, maps) for row in rows])
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "code_inline"}
    assert [t.type for t in tokens].count("td_open") == 4
