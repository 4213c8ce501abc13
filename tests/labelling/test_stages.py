"""Several images at once: the same labels, whoever waits for whom, and every fault its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from redepth.config import LabelSettings
from redepth.errors import DeviceLost, MemoryShared
from redepth.labelling import stages
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.labelling.stages import StagedLabeller
from redepth.labelling.work import Work
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.types import ImageRef, Label, Members, Outcome

PATIENCE_S = 30.0
MEMORY, BUG, LOST = 1, 2, 3


def settings(batch_size: int = 1) -> LabelSettings:
    return LabelSettings.model_validate(
        {
            "coarse": {"preset": "mini", "size_px": 56, "weights": {"seed": 0}},
            "compute": {"device": "cpu", "batch_size": batch_size},
        }
    )


@pytest.fixture(scope="module")
def labeller() -> Labeller:
    return load_labeller(settings())


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[ImageRef]:
    """Return photographs of two sizes, and a file that is none."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    refs = []
    for number in range(9):
        size = (60, 90, 3) if number % 3 else (90, 60, 3)
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(path)
        refs.append(ImageRef(f"{number}", str(path)))
    (folder / "notes.jpg").write_text("no photograph")
    return [*refs, ImageRef("notes", str(folder / "notes.jpg"))]


def label_together(staged: StagedLabeller, refs: Sequence[ImageRef]) -> list[Label]:
    with ThreadPoolExecutor(len(refs)) as threads:
        return list(threads.map(lambda ref: staged.label(ref, None, Work()), refs))


def without_seconds(label: Label) -> object:
    row = replace(
        label.row, seconds=None, read_seconds=None, waited_seconds=None, model_seconds=None
    )
    maps = {} if label.arrays is None else {n: a.tobytes() for n, a in label.arrays.items()}
    return row, maps


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("num_decoders", [1, 3])
def test_labels_are_those_of_one_after_the_other(
    photographs: list[ImageRef], batch_size: int, num_decoders: int
) -> None:
    alone = load_labeller(settings(batch_size))
    expected = [without_seconds(alone.label(ref)) for ref in photographs]
    labels = label_together(StagedLabeller(alone, num_decoders), photographs)
    assert [without_seconds(label) for label in labels] == expected
    assert [label.row.outcome for label in labels] == [Outcome.REFINED] * 9 + [Outcome.REJECTED]


def test_seconds_are_the_images_own_and_its_waiting_is_told_apart(
    labeller: Labeller, photographs: list[ImageRef]
) -> None:
    class Slow(IdentityRefiner):
        def refine(self, scene: RefinementInput) -> Members:
            time.sleep(0.05)
            return super().refine(scene)

    slow = replace(labeller, refiner=Slow())
    rows = [label.row for label in label_together(StagedLabeller(slow, 9), photographs[:9])]
    for row in rows:
        assert row.read_seconds and row.model_seconds and row.waited_seconds is not None
        assert row.seconds and row.seconds >= row.read_seconds + row.model_seconds
        assert row.model_seconds >= 0.05
    assert max(row.waited_seconds or 0.0 for row in rows) > 0.2, "eight are before the last one"


class Meeting:
    """Lets threads go on once so many have come."""

    def __init__(self, number: int) -> None:
        self.barrier = threading.Barrier(number)

    def __call__(self) -> None:
        self.barrier.wait(PATIENCE_S)


def test_photographs_are_decoded_while_the_models_run(
    labeller: Labeller, photographs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages wait for each other: one after the other they would wait for ever."""
    meeting = Meeting(2)
    read = Labeller.prepare

    class Meets(IdentityRefiner):
        def refine(self, scene: RefinementInput) -> Members:
            if scene.image_id == "0":
                meeting()
            return super().refine(scene)

    def prepare(self: Labeller, ref: ImageRef, before: object = None) -> object:
        if ref.id == "1":
            meeting()
        return read(self, ref, None)

    monkeypatch.setattr(Labeller, "prepare", prepare)
    staged = StagedLabeller(replace(labeller, refiner=Meets()), num_decoders=1)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(staged.label, photographs[0], None, Work())
        while staged._models._waiting or not first.running():
            time.sleep(0.01)
        second = threads.submit(staged.label, photographs[1], None, Work())
        outcomes = {first.result(PATIENCE_S).row.outcome, second.result(PATIENCE_S).row.outcome}
    assert outcomes == {Outcome.REFINED}


def test_waiting_images_of_one_size_share_a_batch(photographs: list[ImageRef]) -> None:
    gate, sizes = threading.Event(), []
    inner = load_labeller(settings(batch_size=4))

    class Counted:
        settings = inner.settings
        device = "cpu"

        def prepare(self, ref: ImageRef, before: object = None) -> object:
            return inner.prepare(ref)

        def infer(self, prepared: list[object]) -> object:
            sizes.append(len(prepared))
            gate.wait(PATIENCE_S)
            return inner.infer(prepared)  # type: ignore[arg-type]

        def finish(self, inferred: object) -> Label:
            return inner.finish(inferred)  # type: ignore[arg-type]

    staged = StagedLabeller(Counted(), num_decoders=9)  # type: ignore[arg-type]
    with ThreadPoolExecutor(9) as threads:
        done = [threads.submit(staged.label, ref, None, Work()) for ref in photographs[:9]]
        while sum(sizes[:1]) + len(staged._models._waiting) < 9:
            time.sleep(0.01)
        gate.set()
        assert all(one.result(PATIENCE_S).row.outcome is Outcome.REFINED for one in done)
    assert sum(sizes) == 9 and max(sizes[1:]) >= 2, sizes
    assert len(sizes) < 9, "six of one size, three of another, at most four at once"


class Faulty(IdentityRefiner):
    """Fails for the images that are named; all arrive before any of them is begun."""

    def __init__(self, faults: dict[str, Exception]) -> None:
        self.faults = faults
        self.asked: list[str] = []

    def refine(self, scene: RefinementInput) -> Members:
        self.asked.append(scene.image_id)
        if scene.image_id in self.faults:
            raise self.faults[scene.image_id]
        return super().refine(scene)


def outcomes_of(staged: StagedLabeller, refs: Sequence[ImageRef]) -> dict[str, object]:
    def outcome(ref: ImageRef) -> object:
        try:
            return staged.label(ref, None, Work()).row.outcome
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(refs)) as threads:
        return dict(zip([ref.id for ref in refs], threads.map(outcome, refs), strict=True))


def test_an_error_of_a_batch_is_of_the_image_that_makes_it(photographs: list[ImageRef]) -> None:
    faulty = Faulty({"4": ZeroDivisionError("one over nothing")})
    staged = StagedLabeller(replace(load_labeller(settings(4)), refiner=faulty), 9)
    found = outcomes_of(staged, photographs[:9])
    assert isinstance(found.pop("4"), ZeroDivisionError)
    assert set(found.values()) == {Outcome.REFINED}


@pytest.mark.parametrize(
    "error",
    [MemoryError("8 GB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB")],
)
def test_memory_that_runs_out_beside_others_is_nobodys_fault_yet(
    labeller: Labeller, photographs: list[ImageRef], error: Exception
) -> None:
    staged = StagedLabeller(replace(labeller, refiner=Faulty({"0": error})), 9)
    with ThreadPoolExecutor(1) as threads:
        entered = threading.Event()
        with staged._company.joined():
            entered.set()
            found = threads.submit(outcomes_of, staged, photographs[:1]).result(PATIENCE_S)
    assert isinstance(found["0"], MemoryShared)
    own = outcomes_of(staged, photographs[:1])["0"]
    assert isinstance(own, MemoryError), "alone it is the image's own"
    assert "8 GB; lower labels.compute.batch_size" in str(own)


def test_a_photograph_that_does_not_fit_into_memory_is_rejected_when_it_is_alone(
    labeller: Labeller, photographs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("redepth.images.decode.open_picture", decode)
    staged = StagedLabeller(labeller, 2)
    assert outcomes_of(staged, photographs[:1]) == {"0": Outcome.REJECTED}
    with staged._company.joined():
        assert isinstance(outcomes_of(staged, photographs[:1])["0"], MemoryShared)


def test_a_gpu_that_is_lost_ends_every_image_of_the_batch_as_such(
    labeller: Labeller, photographs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(device: str) -> None:
        raise DeviceLost("device-side assert triggered")

    monkeypatch.setattr(stages, "require_device", lost)
    faulty = Faulty({"0": RuntimeError("CUDA error")})
    found = outcomes_of(StagedLabeller(replace(labeller, refiner=faulty), 2), photographs[:1])
    assert isinstance(found["0"], DeviceLost)


def test_nobody_waits_for_models_that_answer_too_little(
    labeller: Labeller, photographs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Labeller, "infer", lambda self, prepared: [])
    staged = StagedLabeller(labeller, 2)
    for _ in range(2):  # the thread of the models lives on
        found = outcomes_of(staged, photographs[:3])
        assert {type(error) for error in found.values()} == {ValueError}


def test_the_clock_counts_what_is_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("redepth.labelling.work.time.perf_counter", lambda: now[0])
    work = Work()
    steps: list[tuple[float, Callable[[], None]]] = [
        (1.0, work.wait), (5.0, work.wait), (2.0, work.go_on), (3.0, work.go_on)
    ]  # fmt: skip
    for seconds, then in steps:
        now[0] += seconds
        then()
    now[0] += 0.5
    assert work.seconds == pytest.approx(1.0 + 3.0 + 0.5)
