"""Decoders on a node of their own, which is lost with the pictures that nobody has labelled yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import ray
from PIL import Image
from ray import cloudpickle
from ray.cluster_utils import Cluster

from redepth.cluster.pool import ActorPool
from redepth.cluster.session import ray_session
from redepth.config import Actors, LabelSettings, Recipe, RunSettings
from redepth.geometry.sizes import UpperBound
from redepth.labelling.preparing import Prepared, Preparer
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, LabelRow, ModelCard, Outcome

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SIDE_PX = 300  # more bytes than Ray sends without its store
NUM_IMAGES = 12
PATIENCE_S = 120.0


@dataclass(frozen=True)
class NotedPreparer(Preparer):
    """Writes down on which node it has prepared what."""

    folder: Path = Path()

    def prepare(self, ref: ImageRef, before: LabelRow | None = None) -> Prepared | Label:
        with (self.folder / ref.id).open("a") as file:
            file.write(f"{ray.get_runtime_context().get_node_id()}\n")
        return super().prepare(ref, before)


class Gate:
    """A labeller that waits as long as `folder` has a file `closed`, and rejects every image."""

    cards = (ModelCard("coarse", "fake", "a test", None, "0" * 64, "none", untrained=True),)

    def __init__(self, settings: LabelSettings, folder: Path) -> None:
        self._folder = folder
        self.preparer = NotedPreparer(settings.decoding, UpperBound(SIDE_PX, 1), folder=folder)

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Label:
        raise AssertionError("there are decoders")

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> Label:
        assert isinstance(prepared, Prepared)
        work.wait()
        while (self._folder / "closed").exists():
            time.sleep(0.01)
        uri = prepared.row.uri
        return Label(LabelRow(id=prepared.row.id, uri=uri, outcome=Outcome.REJECTED))


class Loader:
    """Picklable: what an actor loads instead of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: LabelSettings) -> Gate:
        return Gate(settings, self.folder)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head with the one core that the actor takes; tokens are for others' clusters."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_pictures_that_are_lost_with_their_node_are_decoded_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    photograph, folder = tmp_path / "a.png", tmp_path / "noted"
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photograph)
    folder.mkdir()
    (folder / "closed").touch()
    lost = cluster.add_node(num_cpus=2)
    actors = Actors(num_actors=1, num_cpus=1, num_decoders=2)
    recipe = Recipe(name="test", run=RunSettings(actors=actors))
    with ray_session(cluster.address, actors), ActorPool(recipe, Loader(folder)) as pool:
        ids = [str(number) for number in range(NUM_IMAGES)]
        futures = [pool.submit(ImageRef(image_id, str(photograph))) for image_id in ids]
        wait_until(lambda: len(pool._waiting) >= 2)
        waiting = [call.image.id for call in pool._waiting]
        cluster.remove_node(lost, allow_graceful=False)
        cluster.add_node(num_cpus=2)
        (folder / "closed").unlink()
        rows = [future.result(timeout=PATIENCE_S).row for future in futures]
    assert {row.outcome for row in rows} == {Outcome.REJECTED}
    where = {image_id: (folder / image_id).read_text().splitlines() for image_id in ids}
    assert lost.node_id in where["0"]
    assert all(len(where[image_id]) == 2 for image_id in waiting), "what waited was lost"
    assert max(row.attempts for row in rows) == 2
