"""`redepth doctor`: everything a run needs, looked at one by one, and what to do if it is wrong.

A check touches the real thing: it asks the server, writes and deletes an object, knocks at Ray.
None costs more than a few seconds, and none starts an engine.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from itertools import islice
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from redepth.config import Deployment, Recipe
from redepth.costing.weights import gpu_memory_words, size_words
from redepth.errors import ConfigError, RedepthError

SEEN_RECENTLY_S = 120.0
MAX_WORKERS = 200
# What was met and costs a day to find: versions that install, and do not work together.
BROKEN = (
    ("fastapi", ">=0.151", "Prefect's own commands are answered 422; from 0.155 on, not at all"),
    ("sqlalchemy", ">=2.1", "Prefect's schedules never fire, and only the server's log says so"),
)


class Verdict(StrEnum):
    """How a check ended."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        found: what is there, in words.
        fix: what to do; empty unless it is bad.
    """

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined: a recipe, and where it is to run."""

    recipe: Recipe
    deployment: Deployment


def examine(subject: Subject) -> Iterator[Finding]:
    """Yield the findings one by one, as they come."""
    for name, check in CHECKS.items():
        try:
            yield check(subject)
        except RedepthError as error:
            words, _, fix = str(error).rpartition("; ")
            yield Finding(name, Verdict.BAD, words or fix, fix if words else "see the message")


def check_versions(subject: Subject) -> Finding:
    """Compare what is installed with what redepth asks for, and with what is known not to work."""
    wrong = [
        f"{package} {version}: {why}"
        for package, which, why in BROKEN
        if (version := _installed(package)) and SpecifierSet(which).contains(Version(version))
    ]
    for text in metadata.requires("redepth") or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = _installed(wanted.name)
        if version is None or not wanted.specifier.contains(Version(version), prereleases=True):
            wrong.append(f"{wanted.name} {version or 'is missing'}: {wanted.specifier} is needed")
    if wrong:
        fix = "in a clone: pip install -c constraints.txt ."
        return Finding("versions", Verdict.BAD, "; ".join(wrong), fix)
    python = ".".join(map(str, sys.version_info[:3]))
    found = f"Python {python}, prefect {_installed('prefect')}, ray {_installed('ray')}"
    return Finding("versions", Verdict.GOOD, found)


def check_server(subject: Subject) -> Finding:
    """Ask the Prefect server for its version."""
    from prefect.settings import PREFECT_API_URL

    from flows.deployments import connected

    if not PREFECT_API_URL.value():
        found = "not set: redepth label brings its own; deployments need one"
        return Finding("server", Verdict.SKIPPED, found)
    with connected() as client:
        theirs = client.api_version()
    ours = str(_installed("prefect"))
    if Version(theirs) < Version(ours):
        fix = f"run a server of prefect {ours} or newer"
        return Finding("server", Verdict.BAD, f"prefect {theirs}, older than here {ours}", fix)
    return Finding("server", Verdict.GOOD, f"prefect {theirs} answers at {PREFECT_API_URL.value()}")


def check_pool(subject: Subject) -> Finding:
    """Look for the work pool, and whether it is paused."""
    from prefect.exceptions import ObjectNotFound

    from flows.deployments import connected

    name = subject.deployment.pool
    if name is None:
        return Finding("pool", Verdict.SKIPPED, "not set (--pool, or deploy.pool)")
    with connected() as client:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            fix = f"prefect work-pool create {name} --type process"
            return Finding("pool", Verdict.BAD, f"there is no work pool {name}", fix)
    if pool.is_paused:
        fix = f"prefect work-pool resume {name}"
        return Finding("pool", Verdict.BAD, f"{name} is paused: nothing is run", fix)
    return Finding("pool", Verdict.GOOD, f"{name}, of type {pool.type}")


def check_worker(subject: Subject) -> Finding:
    """Look for a worker of the pool with a recent heartbeat."""
    from datetime import UTC, datetime

    from prefect.exceptions import ObjectNotFound

    from flows.deployments import connected

    name = subject.deployment.pool
    if name is None:
        return Finding("worker", Verdict.SKIPPED, "no pool is named")
    with connected() as client:
        try:
            workers = client.read_workers_for_work_pool(name, offset=0, limit=MAX_WORKERS)
        except ObjectNotFound:
            workers = []
    now = datetime.now(UTC)
    ages = [
        (now - worker.last_heartbeat_time).total_seconds()
        for worker in workers
        if worker.last_heartbeat_time is not None
    ]
    if not ages or min(ages) > SEEN_RECENTLY_S:
        seen = f"last heartbeat {min(ages):.0f} s ago" if ages else "no heartbeat yet"
        fix = f"prefect worker start --pool {name}, where the models are to run"
        return Finding("worker", Verdict.BAD, f"no worker for {name}: {seen}", fix)
    return Finding("worker", Verdict.GOOD, f"last heartbeat {min(ages):.0f} s ago")


def check_ray(subject: Subject) -> Finding:
    """Ask the cluster at the address; without one, a run brings its own Ray."""
    from redepth.cluster.session import require_cluster

    address = subject.deployment.ray_address
    if address is None:
        found = "no address: every run starts a private one on its machine"
        return Finding("ray", Verdict.GOOD, found)
    try:
        require_cluster(address)
    except ConfigError as error:
        fix = "ray start --head there, correct --ray, or leave it out for a private one"
        return Finding("ray", Verdict.BAD, str(error).partition(". ")[0], fix)
    said = "something answers" if "://" in address else "a Ray cluster answers"
    return Finding("ray", Verdict.GOOD, f"{said} at {address}")


def check_gpu(subject: Subject) -> Finding:
    """Compare the GPUs of this machine with what the recipe asks for."""
    actors = subject.recipe.run.actors
    wanted = actors.num_gpus * (actors.num_actors or 1)
    needs = wanted > 0 or subject.recipe.labels.compute.device == "cuda"
    if not needs:
        return Finding("gpu", Verdict.GOOD, f"{subject.recipe.name} runs on CPUs")
    if subject.deployment.ray_address is not None:
        return Finding("gpu", Verdict.SKIPPED, "the cluster's, not this machine's, are used")
    names = gpu_names()
    if len(names) < max(wanted, 1):
        fix = "run where there are enough (--ray), or take a recipe for CPUs (redepth recipes)"
        found = f"{subject.recipe.name} needs {max(wanted, 1):g}, this machine has {len(names)}"
        return Finding("gpu", Verdict.BAD, found, fix)
    found = f"{', '.join(names)}; memory needed: {gpu_memory_words(subject.recipe)}"
    return Finding("gpu", Verdict.GOOD, found)


def check_photos(subject: Subject) -> Finding:
    """List the first image of the collection."""
    from redepth.images.collection import list_images

    source = subject.deployment.photos
    if source is None:
        return Finding("photos", Verdict.SKIPPED, "none are named (--photos, or deploy.photos)")
    first = next(islice(list_images(source, 1), 1))
    return Finding("photos", Verdict.GOOD, f"{source} can be listed, the first is {first.id}")


def check_output(subject: Subject) -> Finding:
    """Write an object below the output, read it back and delete it; see whether swaps are safe."""
    from redepth.redaction import shown
    from redepth.store.conditional_puts import put_if_unchanged
    from redepth.store.layout import PROBE
    from redepth.store.objects import open_objects

    out = subject.deployment.out
    if out is None:
        return Finding("output", Verdict.SKIPPED, "not set (--out, or deploy.out)")
    objects = open_objects(out)
    is_new = objects.is_local and not Path(objects.path).exists()
    name = f"{PROBE}{uuid.uuid4().hex}"
    is_first = put_if_unchanged(objects, name, b"redepth doctor", None)
    try:
        is_safe = is_first and not put_if_unchanged(objects, name, b"twice", None)
        if not is_safe or objects.read(name) != b"redepth doctor":
            found = f"{shown(out)}: the storage lets two writers pass at once"
            fix = "let one run at a time write there, or choose another storage"
            return Finding("output", Verdict.BAD, found, fix)
    finally:
        objects.delete(name)
        if is_new:
            Path(objects.path).rmdir()
    found = f"{shown(out)}: written, guarded against a second writer, read, deleted"
    return Finding("output", Verdict.GOOD, found)


def check_recipe_of_output(subject: Subject) -> Finding:
    """Compare the recipe with the one the output was begun with."""
    from redepth.store.dataset import check_recipe

    out = subject.deployment.out
    if out is None:
        return Finding("recipe", Verdict.SKIPPED, "no output is named")
    try:
        check_recipe(out, subject.recipe)
    except ConfigError as error:
        said, *settings = str(error).splitlines()
        if not settings:
            raise
        found = f"{said} {settings[0].strip()}" + (", ..." if len(settings) > 2 else "")
        fix = "another --out, or the recipe it was begun with; redepth plan names every setting"
        return Finding("recipe", Verdict.BAD, found, fix)
    return Finding("recipe", Verdict.GOOD, f"{subject.recipe.name} may work on the output")


def check_weights(subject: Subject) -> Finding:
    """Find every model's weights: in their folder, in the hub's cache, or on the hub."""
    from redepth.refiners import refiners
    from redepth.weights import resolve_weights

    missing, found = [], []
    for model in subject.recipe.labels.models():
        name = model.name
        if model.own.seed is not None:
            found.append(f"{name} from a seed (untrained)")
            continue
        if model.loads_itself:
            found.append(f"{name} is loaded by the package that brings it")
            continue
        try:
            # The small files alone: they tell whether the large ones may be had.
            folder = resolve_weights(model.own, model.published, ("*.json", "*/*.json")).path
        except RedepthError as error:
            missing.append(str(error).partition(" (")[0])
            continue
        is_here = next(folder.rglob("*.safetensors"), None) is not None
        fetched = f"can be fetched from the hub ({size_words(model)})"
        found.append(f"{name} {'is here' if is_here else fetched}")
    refiner = subject.recipe.labels.refiner
    read_routing = refiners[refiner.method].routing
    if read_routing is not None:
        try:
            triage = read_routing(refiner).triage
            found.append(f"its triage was fitted to {triage.num_images} images")
        except RedepthError as error:
            missing.append(str(error).partition(": ")[0])
    if missing:
        fix = "correct weights.folder, or repo and revision, or let this machine reach the hub once"
        return Finding("weights", Verdict.BAD, "; ".join(missing), fix)
    return Finding("weights", Verdict.GOOD, "; ".join(found))


CHECKS: dict[str, Callable[[Subject], Finding]] = {
    "versions": check_versions,
    "server": check_server,
    "pool": check_pool,
    "worker": check_worker,
    "ray": check_ray,
    "gpu": check_gpu,
    "photos": check_photos,
    "output": check_output,
    "recipe": check_recipe_of_output,
    "weights": check_weights,
}


def gpu_names() -> list[str]:
    """Name the NVIDIA GPUs of this machine, as its driver does; none without a driver."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.strip().splitlines()


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None
