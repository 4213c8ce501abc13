"""What every test stands on: no hub, one thread a library, and a bucket for those that ask."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import settings

_EXIT_STATUS = pytest.StashKey[int]()

# A busy machine takes ten times as long for one example of many: that is no finding.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Set before any test imports a library that reads them: nothing may ask the hub, and several test
# processes share a few cores.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What runs measure is remembered for the next plan: not among those of who runs the tests.
os.environ["REDEPTH_CACHE"] = tempfile.mkdtemp(prefix="redepth-tests-")


@pytest.fixture(scope="session")
def new_bucket() -> Iterator[Callable[[], str]]:
    """Return what makes an empty bucket on the server of AWS_ENDPOINT_URL; all go at the end."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        pytest.fail("tests marked s3 need AWS_ENDPOINT_URL; `make test-s3` starts a server")
    import boto3

    server, names = boto3.resource("s3"), []

    def make() -> str:
        names.append(f"redepth-{uuid.uuid4().hex}")
        server.create_bucket(Bucket=names[-1])
        return names[-1]

    yield make
    for name in names:
        server.Bucket(name).objects.delete()
        server.Bucket(name).delete()


@pytest.fixture
def s3_bucket(new_bucket: Callable[[], str]) -> str:
    """Return the name of an empty bucket."""
    return new_bucket()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """End Ray and Prefect's own servers that tests started in this process, before it ends."""
    yield
    if (ray := sys.modules.get("ray")) is not None:
        ray.shutdown()
    if (server := sys.modules.get("prefect.server.api.server")) is not None:
        for running in list(server.SubprocessASGIServer._instances.values()):
            running.stop()
    gc.collect()
    shutil.rmtree(os.environ["REDEPTH_CACHE"], ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(
    session: pytest.Session, exitstatus: int | pytest.ExitCode
) -> Generator[None, object, object]:
    """Keep how it ended for the last hook."""
    result = yield
    session.config.stash[_EXIT_STATUS] = int(session.exitstatus)
    return result


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without taking the interpreter down, where native libraries have threads of their own.

    A run whose tests had all passed ended in a segmentation fault after its last line. Threads of
    Ray's that want Python's lock (ray#47864) and pydantic's time zones that outlive their module
    (pydantic#12867) are known to do that. How commands end is tested on commands.
    """
    if _EXIT_STATUS in config.stash and {"ray", "prefect"} & sys.modules.keys():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])
