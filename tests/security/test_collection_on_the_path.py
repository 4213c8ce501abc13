"""A folder of photographs with modules in it, labelled from inside: none of them may be imported.

Whoever fills the folder (a shared drive, an unpacked archive) would run code as the run's owner.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.attacked_run import QUICK, done, photographs

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

MODULES = (
    "PIL",
    "aiohttp",
    "click",
    "colorama",
    "flows",
    "grpc",
    "numpy",
    "prefect",
    "psutil",
    "pydantic",
    "ray",
    "redepth",
    "setproctitle",
    "sitecustomize",
    "tasks",
    "torch",
    "typing_extensions",
    "usercustomize",
    "yaml",
)
# Says which process imported it, before that process fails or goes on.
SPY = """
import os, pathlib
command = pathlib.Path("/proc/self/cmdline").read_bytes().replace(b"\\0", b" ").decode()
name = pathlib.Path(__file__).stem
pathlib.Path({markers!r}, f"{{name}}-{{os.getpid()}}").write_text(command)
"""


def with_modules(folder: Path, markers: Path) -> Path:
    markers.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(SPY.format(markers=str(markers)))
    return folder


def imported(markers: Path) -> list[str]:
    """Return which module ran in which process."""
    return sorted(f"{path.name}: {path.read_text()[:120]}" for path in markers.iterdir())


# A driver that is itself safe, with a path that its Ray must not take over.
LABEL_ONE = """
import os
os.environ["PYTHONPATH"] = os.pathsep.join(["", "."])
from redepth.config import load_recipe
from redepth.cluster.pool import ActorPool
from redepth.cluster.session import ray_session
from redepth.images.collection import list_images
recipe = load_recipe("mini-coarse", ("labels.coarse.weights.seed=0",))
with ray_session(None, recipe.run.actors), ActorPool(recipe) as pool:
    for image in list_images(".", None):
        print(pool.submit(image).result(timeout=60).row.outcome.value)
"""


def test_no_process_of_ray_imports_what_lies_among_the_photographs(tmp_path: Path) -> None:
    photos = with_modules(photographs(tmp_path / "photos", 1), tmp_path / "markers")
    command = [sys.executable, "-P", "-c", LABEL_ONE]
    ended = subprocess.run(
        command, cwd=photos, capture_output=True, text=True, timeout=240, check=False
    )
    assert imported(tmp_path / "markers") == [], ended.stderr
    assert ended.stdout.split() == ["refined"], ended.stderr


def test_no_process_of_a_run_imports_what_lies_among_the_photographs(tmp_path: Path) -> None:
    photos = with_modules(photographs(tmp_path / "photos", 3), tmp_path / "markers")
    environ = {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": ""}
    ended = done("label", ".", "--out", tmp_path / "out", *QUICK, cwd=photos, environ=environ)
    assert imported(tmp_path / "markers") == [], ended.said
    assert ended.code == 0, ended.said
