"""What of a GPU the whole run uses, beside bare loops of the same models and beside Ray Data.

    python -m benchmarks.gpu                on a machine with a GPU; under 6 minutes with 16 cores
    python -m benchmarks.gpu --toy          the same with the mini models, on a CPU
    python -m benchmarks.gpu --simulated    a GPU part that sleeps 20 ms, on a CPU

`--json FILE` writes everything that was measured, `--images` is for the last two.

Architectures of their real size with random weights: a forward costs the same whatever they are.
Each recipe labels the same photographs in three ways:

- redepth: the flow, from files to committed labels, one actor with all cores but one. Images a
  second, and how busy the models were, are those of the run's own record (`redepth status`): from
  when the actor was ready to when the last image ended.
- bare loop: `Labeller.infer` alone, over batches that were decoded before. What the card can do.
- Ray Data: tasks on the CPU that read, decode and resize, an actor on the GPU that infers and
  finishes, and redepth's own writing of shards behind it. The clock starts with the first label.

The simulated GPU shows what the stages are for: the same flow, once with a labeller that works on
one image at a time, as an actor did before there were stages, and once with the staged one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from PIL import Image
from skimage import data

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers step back behind every other program unless set: the bare loop does not.
os.environ.setdefault("RAY_worker_niceness", "0")

import torch

from benchmarks.random_weights import write_models
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import LabelSettings, Recipe, load_recipe
from redepth.costing.run_speed import RunSpeed
from redepth.images.collection import list_images
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from redepth.store.run_record import last_speed
from redepth.types import ByteImage, CoarseDepth, DepthKind, ImageRef, Label, LabelRow, ModelCard

if TYPE_CHECKING:
    from redepth.cluster.actor import LoadLabeller
    from redepth.labelling.labeller import Labeller
    from redepth.labelling.preparing import Prepared, Preparer
    from redepth.labelling.stages import StagedLabeller
    from redepth.labelling.work import Work

IMAGES_PER_SHARD = 32
NUM_DISTINCT = 32  # photographs; the others are links to them, and are decoded all the same
SLEEP_S = 0.02
BARE_SECONDS = 5.0  # at most, of a bare loop
REAL_PX, TOY_PX = 2000, 200
NUM_SIMULATED_CORES = 2
SIMULATED_PHOTOGRAPH_PX, SIMULATED_LABEL_PX = 320, 252


@dataclass(frozen=True, slots=True)
class Case:
    """One recipe, its changes, and how many photographs it is given."""

    recipe: str
    num_images: int
    settings: tuple[str, ...] = ()

    def load(self, machine: Sequence[str]) -> Recipe:
        """Return the recipe as it is run here."""
        return load_recipe(self.recipe, (*self.settings, *machine))


@dataclass(slots=True)
class Figures:
    """What one case came to; images a second, shares of 1."""

    recipe: str
    num_images: int
    num_failed: int
    batch_size: int
    redepth: float = 0.0
    bare_loop: float = 0.0
    ray_data: float = 0.0
    busy_share: float | None = None
    limit_share: float | None = None
    cpu_limit: float | None = None
    ms_member_step: float | None = None
    speed: dict[str, Any] = field(default_factory=dict)


def real_cases(models: Path) -> tuple[Case, ...]:
    """Return the recipes at their real size, over the folders of `random_weights.write_models`."""
    cuda, half = "labels.compute.device=cuda", "labels.refiner.model.weights.variant=fp16"
    coarse = f"labels.coarse.weights.folder={models / 'depth'}"
    metric = f"labels.coarse.weights.folder={models / 'metric'}"
    model = "labels.refiner.model.weights.folder="
    prior = "labels.refiner.prior.weights."
    encoder = "labels.refiner.prior.encoder_weights."
    batch = "labels.compute.batch_size="
    return (
        Case("coarse", 1024, (cuda, coarse, f"{batch}16")),
        Case("metric", 1024, (cuda, metric, f"{batch}16")),
        Case("sharpdepth", 64, (metric, f"{model}{models / 'sharpdepth'}", half, f"{batch}4")),
        Case(
            "betterdepth",
            192,
            (coarse, f"{model}{models / 'betterdepth'}", half, f"{batch}8",
             "labels.refiner.num_steps=2", "labels.refiner.num_members=1"),
        ),
        Case(
            "redepth-anything-fast",
            3,
            (coarse, f"{prior}folder={models / 'prior'}", f"{prior}variant=fp16",
             f"{encoder}folder={models / 'encoder'}", f"{encoder}variant=fp16",
             "labels.refiner.caption.captioner=null", "labels.refiner.num_steps=30"),
        ),
    )  # fmt: skip


def toy_cases(num_images: int) -> tuple[Case, ...]:
    """Return the same recipes with the models that come with redepth."""
    batch = "labels.compute.batch_size=2"
    return (
        Case("mini-coarse", num_images, (batch,)),
        Case("mini-metric", num_images, (batch,)),
        Case("sharpdepth-mini", num_images, (batch,)),
        Case("betterdepth-mini", num_images, (batch,)),
        Case("mini", num_images, ("labels.refiner.num_steps=2",)),
    )


def write_photographs(folder: Path, number: int, width_px: int) -> None:
    """Write some JPEGs of 4 : 3, and links to them under other names."""
    folder.mkdir()
    source = Image.fromarray(data.coffee()).resize((width_px + NUM_DISTINCT, width_px))
    for i in range(number):
        path = folder / f"{i:05d}.jpg"
        if i < NUM_DISTINCT:
            box = (i, i, i + width_px, i + width_px * 3 // 4)
            source.crop(box).save(path, quality=90)
        else:
            path.hardlink_to(folder / f"{i % NUM_DISTINCT:05d}.jpg")


def run_flow(photographs: Path, out: Path, recipe: Recipe) -> RunSpeed:
    """Label through the flow, commits included; return what the run says of itself."""
    from flows.label_images import label_images

    label_images(str(photographs), str(out), recipe)
    speed = last_speed(open_objects(str(out)))
    assert speed is not None
    return speed


def run_bare_loop(photographs: Path, recipe: Recipe, num_images: int) -> float:
    """Ask the models about batches that are decoded already; return images a second."""
    from redepth.labelling.labeller import load_labeller
    from redepth.labelling.preparing import Prepared

    labeller = load_labeller(recipe.labels)
    size = recipe.labels.compute.batch_size
    prepared = [
        one
        for ref in list(list_images(str(photographs)))[:size]
        if isinstance(one := labeller.prepare(ref), Prepared)
    ]
    labeller.infer(prepared)  # the first forward chooses kernels
    started, number = time.perf_counter(), 0
    while number < num_images and time.perf_counter() - started < BARE_SECONDS:
        labeller.infer(prepared)  # the maps come back to the CPU: nothing is left to wait for
        number += len(prepared)
    return number / (time.perf_counter() - started)


def in_new_process(call: Callable[..., float], *arguments: object) -> float:
    """Call where no Prefect and no Ray has threads, and where a GPU's memory ends with the call."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(call, *arguments).result()


class SizeAlone:
    """Stands for the models where a photograph is decoded: knows the size that they want."""

    cards: tuple[ModelCard, ...] = ()

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self.card = ModelCard("coarse", "none", "none", None, "0" * 64, "none")

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return the one size: the photographs are alike."""
        return self._size_hw


@cache
def _decoder(settings: str, size_hw: tuple[int, int]) -> Any:
    from redepth.labelling.labeller import Labeller

    models: Any = SizeAlone(size_hw)
    return Labeller(LabelSettings.model_validate_json(settings), models, models, "none")


def decode_row(item: Mapping[str, Any], settings: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Read, decode and resize one photograph: Ray Data's first stage."""
    prepared = _decoder(settings, size_hw).prepare(ImageRef(item["id"], item["uri"]))
    return {"prepared": pickle.dumps(prepared)}


class RayDataModels:
    """Ray Data's second stage: an actor that infers a batch and finishes it."""

    def __init__(self, settings: str, ready: str) -> None:
        from redepth.labelling.labeller import load_labeller

        self.labeller = load_labeller(LabelSettings.model_validate_json(settings))
        Path(ready).touch()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        from benchmarks.throughput import as_columns

        prepared = [pickle.loads(one) for one in batch["prepared"]]  # noqa: S301  # packed here
        inferred = self.labeller.infer(prepared)
        return as_columns([self.labeller.finish(one) for one in inferred])


def run_ray_data(photographs: Path, out: Path, recipe: Recipe, size_hw: tuple[int, int]) -> float:
    """Label with Ray Data on the instance that is running; return images a second."""
    import ray
    from ray.data import DataContext

    from benchmarks.throughput import ShardSink

    DataContext.get_current().enable_progress_bars = False
    items = [{"id": ref.id, "uri": ref.uri} for ref in list_images(str(photographs))]
    settings, ready = recipe.labels.model_dump_json(), out.with_suffix(".ready")
    labelled = (
        ray.data.from_items(items, override_num_blocks=-(-len(items) // IMAGES_PER_SHARD))
        .map(partial(decode_row, settings=settings, size_hw=size_hw), num_cpus=1)
        .map_batches(
            RayDataModels,
            fn_constructor_args=(settings, str(ready)),
            batch_size=recipe.labels.compute.batch_size,
            concurrency=1,
            num_cpus=0,
            num_gpus=recipe.run.actors.num_gpus,
        )
    )
    labelled.write_datasink(ShardSink(str(out)))
    return len(items) / (time.time() - ready.stat().st_mtime)


def measure(case: Case, root: Path, machine: Sequence[str]) -> Figures:
    """Run one recipe through the flow and in a bare loop."""
    recipe = case.load(machine)
    photographs, out = photographs_of(case, root), output_of(case, root)
    speed = run_flow(photographs, out, recipe)
    num_failed = count_failed(out)
    if num_failed:
        reason = open_labels(str(out)).troubles(1)[0].reason
        print(f"{case.recipe}: {num_failed} images have no label: {reason}", file=sys.stderr)
    stages, refiner = speed.stages, recipe.labels.refiner
    if not stages.num_staged:
        sys.exit(f"{case.recipe}: not one image came to the models")
    cpu_seconds = (stages.own - stages.model) / stages.num_staged
    figures = Figures(
        case.recipe,
        case.num_images,
        num_failed,
        recipe.labels.compute.batch_size,
        redepth=stages.num_staged / speed.seconds,
        bare_loop=in_new_process(run_bare_loop, photographs, recipe, case.num_images),
        busy_share=speed.busy_share,
        limit_share=speed.limit_share,
        cpu_limit=speed.decoders / cpu_seconds,
        speed=asdict(speed),
    )
    if isinstance(refiner, ReDepthAnything):
        member_steps = refiner.num_steps * refiner.num_members
        figures.ms_member_step = 1e3 * stages.model / stages.num_staged / member_steps
    return figures


def photographs_of(case: Case, root: Path) -> Path:
    """Return the folder of a case's photographs."""
    return root / f"photographs-{case.num_images}"


def output_of(case: Case, root: Path) -> Path:
    """Return where the flow's labels of a case are."""
    return root / f"labels-{case.recipe}"


def count_failed(out: Path) -> int:
    """Count the images that random weights left without a label; those are no fair work."""
    outcomes = open_labels(str(out)).count_outcomes()
    return sum(number for outcome, number in outcomes.items() if not outcome.has_label)


def size_of_labels(out: Path) -> tuple[int, int]:
    """Return the one size that all labels of an output have."""
    table = open_labels(str(out)).table(["height_px", "width_px"])
    (size,) = {(line["height_px"], line["width_px"]) for line in table.to_pylist()}
    return size


def compare(
    cases: Sequence[Case], root: Path, machine: Sequence[str], width_px: int
) -> list[Figures]:
    """Run every recipe in all three ways."""
    from redepth.cluster.session import ray_session

    for case in cases:
        if not photographs_of(case, root).exists():
            write_photographs(photographs_of(case, root), case.num_images, width_px)
    found = []
    for case in cases:
        found.append(measure(case, root, machine))
        rates = f"{found[-1].redepth:.2f} images/s, a bare loop {found[-1].bare_loop:.2f}"
        print(f"{case.recipe}: {rates}", file=sys.stderr, flush=True)
    with ray_session(None, cases[0].load(machine).run.actors):
        for case, figures in zip(cases, found, strict=True):
            if figures.num_failed:
                continue  # without maps there is nothing to write
            size_hw = size_of_labels(output_of(case, root))
            out = root / f"ray-data-{case.recipe}"
            recipe = case.load(machine)
            figures.ray_data = run_ray_data(photographs_of(case, root), out, recipe, size_hw)
    return found


class SleepingModel:
    """A coarse model that holds a lock and sleeps, as a driver does while a GPU computes."""

    kind = DepthKind.AFFINE_DISPARITY

    def __init__(self, size_px: int) -> None:
        self.card = ModelCard("coarse", "sleeper", "a benchmark", None, "0" * 64, "none")
        self._lock = threading.Lock()
        self._size_hw = (size_px * 3 // 4, size_px)
        height, width = self._size_hw
        self._map_hw = np.tile(np.linspace(1, 4, width, dtype=np.float32), (height, 1))

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return the one size."""
        return self._size_hw

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the same slope of every picture, after a while."""
        with self._lock:
            time.sleep(SLEEP_S)
        return CoarseDepth(self._map_hw, self.kind)


class OneByOne:
    """A labeller that works on one image at a time, whoever else waits."""

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller
        self._lock = threading.Lock()
        self.cards = labeller.cards

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Label:
        """Read, decode, infer and finish one image."""
        with self._lock:
            return self._labeller.label(ref, before)

    @property
    def preparer(self) -> Preparer:
        """What would prepare photographs elsewhere."""
        return self._labeller.preparer

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> Label:
        """Infer and finish one image."""
        with self._lock:
            return self._labeller.label_prepared(prepared)


def sleeping_labeller(settings: LabelSettings) -> Labeller:
    """Return a labeller whose models sleep; all else is the real work."""
    from redepth.labelling.labeller import Labeller

    return Labeller(settings, SleepingModel(settings.coarse.size_px), IdentityRefiner(), "cpu")


def load_one_by_one(settings: LabelSettings) -> OneByOne:
    """Load what an actor held before there were stages."""
    return OneByOne(sleeping_labeller(settings))


def load_staged(settings: LabelSettings) -> StagedLabeller:
    """Load what an actor holds."""
    from redepth.labelling.stages import StagedLabeller

    return StagedLabeller(sleeping_labeller(settings), NUM_SIMULATED_CORES)


def simulate(root: Path, num_images: int) -> dict[str, float]:
    """Return how busy the sleeping models were in the flow: sleeps over wall time, 1 is always."""
    from flows import label_images as flow_module
    from redepth.cluster.pool import ActorPool

    photographs = root / "photographs-small"
    write_photographs(photographs, num_images, SIMULATED_PHOTOGRAPH_PX)
    recipe = load_recipe(
        "mini-coarse",
        (f"labels.coarse.size_px={SIMULATED_LABEL_PX}", "run.actors.num_actors=1",
         f"run.actors.num_cpus={NUM_SIMULATED_CORES}"),
    )  # fmt: skip
    loads: dict[str, LoadLabeller] = {"one by one": load_one_by_one, "in stages": load_staged}
    found = {}
    for name, load in loads.items():
        with mock.patch.object(flow_module, "ActorPool", partial(ActorPool, load=load)):
            speed = run_flow(photographs, root / name.replace(" ", "-"), recipe)
        found[name] = num_images * SLEEP_S / speed.seconds
    return found


def print_table(found: Sequence[Figures]) -> None:
    """Print what was measured, in Markdown."""
    print("\n| recipe | batch | redepth | bare loop | of it | Ray Data | cores allow | models busy "
          "| of the FLOP limit | ms a member-step |")  # fmt: skip
    print(f"|---|{'---:|' * 9}")
    for one in found:
        cells = (
            one.recipe, one.batch_size, f"{one.redepth:.2f}", f"{one.bare_loop:.2f}",
            f"{one.redepth / one.bare_loop:.0%}", f"{one.ray_data:.2f}", _words(one.cpu_limit),
            _words(one.busy_share, "%"), _words(one.limit_share, "%"), _words(one.ms_member_step),
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")
    print("\nredepth, bare loop, Ray Data, cores allow: images a second.")


def _words(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    return f"{100 * value:.3g} %" if unit else f"{value:.3g}"


def machine_settings(*, toy: bool) -> tuple[str, ...]:
    """Return the settings of one actor that has this machine for itself."""
    cores = max(1, (os.cpu_count() or 1) - (0 if toy else 1))
    common = ("run.actors.num_actors=1", f"run.actors.num_cpus={cores}")
    sharding = f"run.sharding.images_per_shard={IMAGES_PER_SHARD}"
    device, number = ("cpu", 0) if toy else ("cuda", 1)
    return (*common, sharding, f"labels.compute.device={device}", f"run.actors.num_gpus={number}")


def run(*, toy: bool, simulated: bool, num_images: int) -> dict[str, Any]:
    """Measure, print, and return what is written as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        os.environ["REDEPTH_CACHE"] = str(root / "cache")
        start_prefect_server()
        if simulated:
            shares = simulate(root, num_images)
            for name, share in shares.items():
                print(f"{name}: models busy {share:.1%} of the time")
            return {"busy_share": shares}
        if not toy:
            write_models(root / "models", torch.device("cuda"))
        cases = toy_cases(num_images) if toy else real_cases(root / "models")
        width_px = TOY_PX if toy else REAL_PX
        found = compare(cases, root, machine_settings(toy=toy), width_px)
        print_table(found)
        return {"cases": [asdict(one) for one in found]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="with the mini models, on a CPU")
    parser.add_argument("--simulated", action="store_true", help="models that sleep 20 ms")
    parser.add_argument("--images", type=int, default=0, help="of a toy or simulated run")
    parser.add_argument("--json", type=Path, help="everything that was measured goes here")
    given = parser.parse_args(arguments)
    if not given.toy and not given.simulated and not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA GPU; --toy and --simulated need none")
    quieten_prefect()
    started = time.perf_counter()
    number = given.images or (1000 if given.simulated else 64)
    result = run(toy=given.toy, simulated=given.simulated, num_images=number)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    result |= {"card": card, "cores": os.cpu_count(), "torch": torch.__version__}
    print(f"{card or 'no GPU'}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{time.perf_counter() - started:.0f} s in all")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    # By its own name: what Ray's processes run is found there.
    from benchmarks.gpu import main as by_name

    by_name()
