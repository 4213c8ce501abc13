"""A GPU on a machine with one core, and decoders elsewhere: how busy the GPU is.

    python -m benchmarks.decoders [NUMBER ...] [--images 600] [--turns 3]

The whole flow, over JPEGs of 320 x 240 px, with models that hold a lock and sleep 20 ms (as in
`python -m benchmarks.gpu --simulated`). Preparing a photograph sleeps too, to 60 ms in all: so much
does one of 12 to 20 megapixels take, and a machine of two cores can play a cluster's. With 0
decoders the actor prepares one photograph at a time, as on one core. What is measured is whether
pictures come through Ray fast enough; that decoders have cores is taken for granted. The share is
that of the models' sleeps in the time from when the actor was ready to when the last image ended.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

from benchmarks.gpu import SLEEP_S, SleepingModel, run_flow, write_photographs
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import LabelSettings, load_recipe
from redepth.geometry.sizes import UpperBound
from redepth.labelling.labeller import Labeller
from redepth.labelling.preparing import Prepared, Preparer
from redepth.labelling.stages import StagedLabeller
from redepth.refiners.identity import IdentityRefiner
from redepth.types import ImageRef, Label, LabelRow

PHOTOGRAPH_PX, LABEL_PX = 320, 252
PREPARE_S = 0.06
NUM_DECODERS = (0, 1, 2, 3, 4, 6)


@dataclass(frozen=True)
class SleepingPreparer(Preparer):
    """Prepares photographs as slowly as if they were large."""

    def prepare(self, ref: ImageRef, before: LabelRow | None = None) -> Prepared | Label:
        """Do the real work on a small photograph, and sleep for the rest."""
        started = time.perf_counter()
        prepared = super().prepare(ref, before)
        time.sleep(max(0.0, started + PREPARE_S - time.perf_counter()))
        return prepared


class SleepingLabeller(Labeller):
    """A labeller whose models and whose preparer sleep."""

    @property
    def preparer(self) -> Preparer:
        """What prepares photographs, in the actor or in decoders."""
        return SleepingPreparer(
            self.settings.decoding, UpperBound(self.settings.coarse.size_px, 1), self.allowed
        )


def load(settings: LabelSettings) -> StagedLabeller:
    """Load what an actor holds."""
    model = SleepingModel(settings.coarse.size_px)
    labeller = SleepingLabeller(settings, model, IdentityRefiner(), "cpu")
    return StagedLabeller(labeller, num_decoders=1)


def busy_share(photographs: Path, out: Path, num_images: int, num_decoders: int) -> float:
    """Label through the flow; return how busy the sleeping models were, 1 is always."""
    from flows import label_images as flow_module
    from redepth.cluster.pool import ActorPool

    recipe = load_recipe(
        "mini-coarse",
        (f"labels.coarse.size_px={LABEL_PX}", "run.actors.num_actors=1", "run.actors.num_cpus=1",
         f"run.actors.num_decoders={num_decoders}"),
    )  # fmt: skip
    with mock.patch.object(flow_module, "ActorPool", partial(ActorPool, load=load)):
        speed = run_flow(photographs, out, recipe)
    return num_images * SLEEP_S / speed.seconds


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.decoders", description=__doc__.splitlines()[0]
    )
    parser.add_argument("numbers", nargs="*", type=int, default=NUM_DECODERS)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    quieten_prefect()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        os.environ["REDEPTH_CACHE"] = str(root / "cache")
        start_prefect_server()
        photographs = root / "photographs"
        write_photographs(photographs, given.images, PHOTOGRAPH_PX)
        print("\n| decoders | models busy | all turns | load |\n|---:|---:|---|---:|")
        for number in given.numbers:
            outs = [root / f"labels-{number}-{turn}" for turn in range(given.turns)]
            shares = [busy_share(photographs, out, given.images, number) for out in outs]
            turns = ", ".join(f"{share:.1%}" for share in shares)
            load = os.getloadavg()[0]
            print(f"| {number} | {max(shares):.1%} | {turns} | {load:.1f} |", flush=True)


if __name__ == "__main__":
    # By its own name: what Ray's processes run is found there.
    from benchmarks.decoders import main as by_name

    by_name()
