"""What another user of the machine, or another machine, reaches of a run's private Ray."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import grpc
import psutil
import pytest

from tests.security.attacked_run import SLOW, Run, command_line, photographs, running

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

# One call of each service that Ray serves: whoever may make it learns, or does, something.
CALLS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.JobInfoGcsService/GetAllJobInfo",
    "/ray.rpc.InternalKVGcsService/InternalKVKeys",
    "/ray.rpc.ActorInfoGcsService/GetAllActorInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.CoreWorkerService/PushTask",
    "/ray.rpc.CoreWorkerService/Exit",
)
PATHS = (
    "/",
    "/metrics",
    "/api/job_agent/jobs/",
    "/get_runtime_envs_info",
    "/get_or_create_runtime_env",
)
WRONG = "0" * 64


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    photos = photographs(folder / "photos", 200)
    environ = {"PREFECT_HOME": str(folder / "prefect"), "RAY_AUTH_MODE": "disabled"}
    with running("label", photos, "--out", folder / "out", *SLOW, environ=environ) as run:
        run.wait_until(lambda: list((folder / "out").glob("labels/*.parquet")))
        yield run


def listeners(processes: list[psutil.Process]) -> list[tuple[str, str, int]]:
    """Return name, host and port of every socket that waits for others, TCP and UDP."""
    return [
        (process.name(), at.laddr.ip, at.laddr.port)
        for process in processes
        for at in process.net_connections("inet")
        if at.status == psutil.CONN_LISTEN or (at.type == socket.SOCK_DGRAM and not at.raddr)
    ]


def is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def token_of(run: Run) -> str:
    (raylet,) = run.named("/raylet/raylet")
    return raylet.environ()["RAY_AUTH_TOKEN"]


def grpc_answer(port: int, call: str, token: str | None) -> str:
    """Return the name of the status that a call ends with."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(call)(b"", timeout=5, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def http_answer(port: int, path: str, method: str) -> int | None:
    """Return the status of an answer without a token; None where nobody speaks HTTP/1."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=b"")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, HTTPException):
        return None


def test_every_listener_of_the_run_is_on_loopback(run: Run) -> None:
    found = listeners(run.ray())
    names = {name for name, _, _ in found}
    assert {"gcs_server", "raylet"} <= names, "the attack must see the processes it is about"
    assert any(name.startswith("ray::") for name in names)
    assert [where for where in found if not is_loopback(where[1])] == []


def test_no_port_answers_http_without_the_token(run: Run) -> None:
    answers = {
        (name, path, method): http_answer(port, path, method)
        for name, _, port in listeners(run.ray())
        for path in PATHS
        for method in ("GET", "POST")
    }
    assert set(answers.values()) <= {None, 401, 403}, answers
    assert 401 in answers.values(), "the agent for runtime environments speaks HTTP"


def test_no_port_does_anything_for_a_caller_without_the_token(run: Run) -> None:
    ports = listeners(run.ray())
    for token in (None, WRONG):
        answers = {
            (name, port, call): grpc_answer(port, call, token)
            for name, _, port in ports
            for call in CALLS
        }
        allowed = {"UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE"}
        assert set(answers.values()) <= allowed, (token, answers)
        refusing = {port for (_, port, _), code in answers.items() if code == "UNAUTHENTICATED"}
        speaks_http = {port for name, _, port in ports if name == "ray::RuntimeEnvAgent"}
        assert refusing | speaks_http == {port for _, _, port in ports}
        assert run.process.poll() is None


def test_the_token_opens_so_that_the_refusals_mean_something(run: Run) -> None:
    (port,) = (port for name, _, port in listeners(run.ray()) if name == "gcs_server")
    assert grpc_answer(port, CALLS[0], token_of(run)) == "OK"


def test_the_token_stands_in_no_command_line_and_in_no_file(run: Run) -> None:
    token = token_of(run)
    assert len(token) == 64
    assert [command_line(p) for p in run.tree if token in command_line(p)] == []
    for folder in private_folders(run):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert token.encode() not in path.read_bytes(), path


def private_folders(run: Run) -> list[Path]:
    (raylet,) = run.named("/raylet/raylet")
    (socket_name,) = (a for a in raylet.cmdline() if a.startswith("--raylet_socket_name="))
    ray_folder = Path(socket_name.partition("=")[2]).parents[2]
    return [ray_folder.parent]


def test_sockets_and_logs_lie_where_nobody_else_can_go(run: Run) -> None:
    (folder,) = private_folders(run)
    about = folder.stat()
    assert stat.S_IMODE(about.st_mode) == 0o700
    assert about.st_uid == os.getuid()
    assert folder.parent == Path(tempfile.gettempdir())
    inside = {
        Path(path)
        for process in run.ray()
        for path in (str(end.laddr) for end in process.net_connections("unix"))
        if path.startswith("/")
    }
    assert inside
    assert all(folder in path.parents for path in inside), inside
