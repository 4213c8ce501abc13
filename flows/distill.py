"""Flow `distill`: pay an expensive refiner for a few images, and learn from it for all others.

    candidates -> coarse maps -> choose -> teacher's labels -> train -> student's labels

Every labelling step is the flow `label-images` on an ordinary output, and the training is the flow
`train`: what is done is not done again, and the same command resumes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task
from pydantic import Field, SerializeAsAny

from flows import terminal
from flows.label_images import SKIPPED, Place, label_images
from flows.progress_bar import progress_bar
from flows.train import train
from redepth.config import Recipe
from redepth.distillation import choosing, lists, recipes
from redepth.distillation.rounds import Round, read_rounds, write_rounds
from redepth.distillation.teacher_labels import TeacherLabels
from redepth.errors import ConfigError, OutputBusy, RunStopped
from redepth.evaluation.comparing import compare_labels
from redepth.images.allowed import roots_of
from redepth.images.collection import list_images
from redepth.report.comparison_page import read_comparison, render_comparison
from redepth.settings import Settings
from redepth.store.objects import Objects, open_objects
from redepth.store.reader import Labels, open_labels
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.distilled.split import HELD_OUT_NAME, split_images
from redepth.training.folders import CHECKPOINTS, MODEL, VALIDATION, VARIANT
from redepth.training.settings import FirstWeights
from redepth.types import ImageRef, Outcome

COARSE, TEACHER, CHECK = "coarse", "teacher", "student-labels"
CANDIDATES, CHOSEN, HELD_OUT = "candidates.parquet", "chosen.parquet", "held-out.parquet"
SUMMARY, PAGE = "distilled.json", "index.html"


class Choice(Settings):
    """How many images the teacher labels."""

    count: int | None = Field(None, ge=1, description="images; null takes `share`")
    share: float = Field(0.02, gt=0, le=1, description="of the collection")
    candidates_each: int = Field(4, ge=1, description="candidates for each image that is chosen")


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it; also `distilled.json`.

    Attributes:
        num_listed, num_chosen: images of the collection, and those that the teacher was given.
        num_held_out: labelled images that were kept out of the training.
        round: which training of this student it was, from 1.
        kept_share: of the teacher's change, what the student reproduces on the held-out images.
        kept_share_before: the same of the round before, on the same images; None in the first.
        left_alone_share: of the held-out images, those that the student does not refine.
        teacher_seconds, student_seconds: of the models an image, as measured here.
        recipe, cascade: the recipes that use it.
        model: its folder.
        page: the held-out images, with the teacher's labels and the student's.
    """

    num_listed: int
    num_chosen: int
    num_held_out: int
    round: int
    kept_share: float
    kept_share_before: float | None
    left_alone_share: float
    teacher_seconds: float | None
    student_seconds: float | None
    recipe: str
    cascade: str
    model: str
    page: str


@flow(
    name="distill",
    flow_run_name="distill {teacher.name} into {out}",
    persist_result=False,
    description="Distil a student from an expensive refiner's labels of a few images.",
)
def distill(
    source: Place,
    out: Place,
    work: Place,
    teacher: Recipe,
    training: SerializeAsAny[DistilledTraining],
    choice: Choice,
    more_labels: tuple[Place, ...] = (),
    ray_address: str | None = None,
) -> Distilled:
    """Distil a student; see `redepth distill --help`.

    Args:
        source: the collection, as `redepth label` takes it.
        out: gets the lists, the teacher's labels, the student, its recipes and its labels.
        work: a local folder for the trainings.
        teacher: the recipe of the expensive refiner.
        training: how the student is trained; `data.labels` and `init` are set here.
        more_labels: outputs with further labels of the teacher.

    Raises:
        ConfigError: something to fix; what is labelled so far stays.
    """
    objects, allowed = open_objects(out), _allowing(teacher, source)
    num_listed, chosen = _choose(source, out, allowed, choice, ray_address)
    listed = lists.write_list(objects, CHOSEN, chosen)
    _say(f"2 of 5: {allowed.name} labels {len(chosen)} images")
    _label(listed, _below(out, TEACHER), allowed, ray_address)
    _say("3 of 5: the student learns")
    urls = (_below(out, TEACHER), *more_labels)
    roots = allowed.run.sources.allow
    data = training.data.model_copy(update={"labels": urls, "allow": roots})
    training = training.model_copy(update={"data": data})
    trained = train_round(objects, Path(work), training)
    model = _published(objects, Path(work) / trained.folder / MODEL)
    student = recipes.student_recipe(allowed, model)
    _write_recipes(objects, allowed, student)
    held_out = _held_out(training)
    listed = lists.write_list(objects, HELD_OUT, held_out)
    _say(f"4 of 5: the student labels the {len(held_out)} images that were kept out")
    _label(listed, _check(out, trained), _of_round(student, trained), ray_address)
    _say("5 of 5: the page of both")
    objects.put(PAGE, _page(_below(out, TEACHER), _check(out, trained), roots).encode())
    found = _summary(out, num_listed, len(chosen), len(held_out), trained, model)
    objects.put(SUMMARY, json.dumps(asdict(found), indent=2).encode())
    return found


def _label(listed: str, out: str, recipe: Recipe, ray_address: str | None) -> None:
    """Label a list, and go on only where that came to its end.

    Raises:
        OutputBusy: another run is at work on it, and the recipe says not to wait.
        RunStopped: it was cancelled.
    """
    state = label_images(listed, out, recipe, ray_address, return_state=True)
    if state.name == SKIPPED:
        raise OutputBusy(state.message or f"another run is at work on {out}")
    if state.is_cancelled():
        raise RunStopped("the run was cancelled. What is done stays; the same command resumes")
    state.result()


def _choose(
    source: str, out: str, teacher: Recipe, choice: Choice, ray_address: str | None
) -> tuple[int, list[ImageRef]]:
    """Count the collection, and choose images for the teacher by their coarse maps."""
    num_listed = sum(1 for _ in list_images(source))
    count = choice.count or math.ceil(choice.share * num_listed)
    candidates = choosing.draw_candidates(list_images(source), count * choice.candidates_each)
    _say(f"1 of 5: coarse maps of {len(candidates)} candidates, of {num_listed} images")
    listed = lists.write_list(open_objects(out), CANDIDATES, candidates)
    _label(listed, _below(out, COARSE), recipes.coarse_recipe(teacher), ray_address)
    return num_listed, choose_images(_below(out, COARSE), candidates, count)


@task(name="choose images", persist_result=False)
def choose_images(coarse: str, candidates: Sequence[ImageRef], count: int) -> list[ImageRef]:
    """Choose among the candidates that have a coarse map; see `redepth.distillation.choosing`.

    Raises:
        ConfigError: none has one.
    """
    labels = open_labels(coarse).with_maps()
    mapped = [ref for ref in candidates if ref.id in labels]
    if not mapped:
        raise ConfigError(
            f"none of the {len(candidates)} images that were looked at got a coarse map: redepth "
            f"status {coarse} says why"
        )
    with progress_bar("choosing", len(mapped)) as on_read:
        described = choosing.describe(labels, [ref.id for ref in mapped], on_read)
    return [mapped[number] for number in choosing.choose(described, count)]


def train_round(objects: Objects, work: Path, training: DistilledTraining) -> Round:
    """Train on the labels: anew, on from a checkpoint, or on from the round before.

    Raises:
        ConfigError: too few labels, or a checkpoint of other settings.
    """
    rounds, urls = read_rounds(objects), training.data.labels
    current = rounds.current(urls, TeacherLabels(urls).ids)
    write_rounds(objects, rounds.with_round(current))
    before = rounds.before(current.number)
    first = training.init
    if before is not None:
        first = FirstWeights(folder=str(work / before.folder / MODEL), variant=VARIANT)
    folder = work / current.folder
    # A round that was begun with other labels has checkpoints, too.
    resume = current in rounds.rounds and (folder / CHECKPOINTS).is_dir()
    train(training.model_copy(update={"init": first}), str(folder), resume)
    ended = current.model_copy(update=_kept_shares(folder))
    write_rounds(objects, rounds.with_round(ended))
    return ended


def _held_out(training: DistilledTraining) -> list[ImageRef]:
    labels = TeacherLabels(training.data.labels)
    numbers = split_images(labels.ids, training.data.held_out_share).held_out
    return [lists.listed_again(labels.row(number)) for number in numbers]


def _allowing(teacher: Recipe, source: str) -> Recipe:
    """Let the lists that are written here name what the collection's own listing may."""
    allow = tuple(dict.fromkeys((*teacher.run.sources.allow, *roots_of(source))))
    sources = teacher.run.sources.model_copy(update={"allow": allow})
    return teacher.model_copy(update={"run": teacher.run.model_copy(update={"sources": sources})})


def _published(objects: Objects, model: Path) -> Path:
    """Copy the student to the output where that is elsewhere; return its folder here."""
    if not objects.is_local:
        for path in sorted(path for path in model.rglob("*") if path.is_file()):
            objects.put_file(f"{MODEL}/{path.relative_to(model).as_posix()}", path)
    return model


def _check(out: str, trained: Round) -> str:
    """Return where a round's student labels the held-out images: each has weights of its own."""
    return _below(out, f"{CHECK}/{trained.folder}")


def _of_round(student: Recipe, trained: Round) -> Recipe:
    return student.model_copy(update={"name": f"{student.name}, round {trained.number}"})


def _write_recipes(objects: Objects, teacher: Recipe, student: Recipe) -> None:
    words = f"A student of {teacher.name}; made by redepth distill."
    objects.put(recipes.STUDENT, recipes.as_yaml(student.model_dump(mode="json"), words))
    cascade = recipes.cascade_values(teacher, student)
    words = f"A student of {teacher.name} for all, the teacher where it pays; by redepth distill."
    objects.put(recipes.CASCADE, recipes.as_yaml(cascade, words))


def _summary(
    out: str, num_listed: int, num_chosen: int, num_held_out: int, trained: Round, model: Path
) -> Distilled:
    check = open_labels(_check(out, trained))
    outcomes = check.count_outcomes()
    return Distilled(
        num_listed=num_listed,
        num_chosen=num_chosen,
        num_held_out=num_held_out,
        round=trained.number,
        kept_share=trained.kept_share or 0.0,
        kept_share_before=trained.kept_share_before,
        left_alone_share=outcomes[Outcome.FELL_BACK] / max(1, sum(outcomes.values())),
        teacher_seconds=_model_seconds(open_labels(_below(out, TEACHER))),
        student_seconds=_model_seconds(check),
        recipe=_below(out, recipes.STUDENT),
        cascade=_below(out, recipes.CASCADE),
        model=str(model),
        page=_below(out, PAGE),
    )


def _page(teacher: str, student: str, roots: Sequence[str]) -> str:
    """Draw the held-out images: the teacher's label and the student's, side by side."""
    first, second = open_labels(teacher), open_labels(student)
    compared = compare_labels(first, second)
    return render_comparison(read_comparison(compared, first, second, datetime.now(UTC), roots))


def _say(words: str) -> None:
    """Say at the terminal which part of the work comes now."""
    terminal.err.print(words, style="bold", markup=False)


def _kept_shares(folder: Path) -> dict[str, float | None]:
    text = (folder / VALIDATION / HELD_OUT_NAME).read_text(encoding="utf-8")
    values = json.loads(text)
    return {name: values[name] for name in ("kept_share", "kept_share_before")}


def _model_seconds(labels: Labels) -> float | None:
    """Return the models' seconds an image, the mean."""
    seconds = labels.table(["model_seconds"])["model_seconds"].drop_null()
    return float(sum(seconds.to_pylist()) / len(seconds)) if len(seconds) else None


def _below(out: str, name: str) -> str:
    return f"{out.rstrip('/')}/{name}"
