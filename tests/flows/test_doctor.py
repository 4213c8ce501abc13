"""Each check of the doctor, where things are right and where they are wrong.

What it finds of a real Prefect server is in tests/ops; of a bucket, in the tests marked s3.
"""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from PIL import Image

from flows import doctor
from flows.doctor import Finding, Subject, Verdict, examine
from redepth.config import Deployment, load_recipe

GOOD, BAD, SKIPPED = Verdict.GOOD, Verdict.BAD, Verdict.SKIPPED


def find(check: str, recipe: str = "mini", *settings: str, **places: str) -> Finding:
    subject = Subject(load_recipe(recipe, settings), Deployment.model_validate(places))
    (finding,) = (found for found in examine(subject) if found.check == check)
    assert (finding.fix != "") == (finding.verdict is BAD), "what is bad has a fix"
    return finding


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("versions").verdict is GOOD
    real = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda p: "2.1.0" if p == "sqlalchemy" else real(p))
    finding = find("versions")
    assert finding.verdict is BAD
    assert "schedules never fire" in finding.found
    monkeypatch.setattr(doctor, "_installed", lambda p: None if p == "zarr" else real(p))
    assert "zarr is missing" in find("versions").found


def test_server_pool_and_worker_without_a_server() -> None:
    """Right and wrong states of a real one: tests/ops."""
    assert find("pool").verdict is SKIPPED
    assert find("worker").verdict is SKIPPED


def test_ray() -> None:
    assert find("ray").verdict is GOOD
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert find("ray", ray_address=f"ray://127.0.0.1:{port}").verdict is GOOD
    finding = find("ray", ray_address=f"ray://127.0.0.1:{port}")
    assert finding.verdict is BAD
    assert "no Ray cluster answers" in finding.found


def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ("mini", "run.actors.num_gpus=1")
    assert find("gpu").verdict is GOOD
    monkeypatch.setattr(doctor, "gpu_names", list)
    assert find("gpu", *needs).verdict is BAD
    assert find("gpu", *needs, ray_address="127.0.0.1:1").verdict is SKIPPED
    monkeypatch.setattr(doctor, "gpu_names", lambda: ["A GPU"])
    assert find("gpu", *needs).found == "A GPU; memory needed: not measured"
    assert find("gpu", *needs, "run.actors.num_actors=2").verdict is BAD


def test_gpu_names_come_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.gpu_names() == []
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho One GPU\necho Another\n", encoding="utf-8")
    driver.chmod(driver.stat().st_mode | stat.S_IXUSR)
    assert doctor.gpu_names() == ["One GPU", "Another"]


def test_photos(tmp_path: Path) -> None:
    assert find("photos").verdict is SKIPPED
    assert find("photos", photos=str(tmp_path)).verdict is BAD
    Image.new("RGB", (20, 20)).save(tmp_path / "first.png")
    assert "first-" in find("photos", photos=str(tmp_path)).found


def test_output_leaves_nothing_behind(tmp_path: Path) -> None:
    assert find("output").verdict is SKIPPED
    assert find("output", out=str(tmp_path / "new")).verdict is GOOD
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    assert find("output", out=str(tmp_path / "file" / "below")).verdict is BAD


def test_output_on_a_storage_that_ignores_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "redepth.store.conditional_puts.put_if_unchanged",
        lambda objects, name, content, seen: objects.put(name, content) is None,
    )
    assert "two writers" in find("output", out=str(tmp_path)).found


@pytest.mark.s3
# s3fs leaves its connections to whoever collects it when its cache is cleared.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_output_on_a_bucket(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("output", out=f"s3://{s3_bucket}/labels").verdict is GOOD
    assert "no such bucket" in find("output", out="s3://no-such-bucket-here/labels").found
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    finding = find("output", out=f"s3://{s3_bucket}/labels")
    assert (finding.verdict, "SignatureDoesNotMatch" in finding.found) == (BAD, True)
    s3fs.S3FileSystem.clear_instance_cache()


def test_recipe(tmp_path: Path) -> None:
    from redepth.store.dataset import begin

    assert find("recipe").verdict is SKIPPED
    begin(str(tmp_path), load_recipe("mini"), ())
    assert find("recipe", out=str(tmp_path)).verdict is GOOD
    finding = find("recipe", "mini", "labels.seed=7", out=str(tmp_path))
    assert finding.verdict is BAD
    assert "labels.seed: 0 -> 7" in finding.found


def test_weights(tmp_path: Path) -> None:
    assert "is here" in find("weights").found
    missing = f"labels.coarse.weights.folder={tmp_path / 'none'}"
    assert find("weights", "mini", missing).verdict is BAD
    assert find("weights", "coarse").verdict is BAD, "no hub in tests, and nothing in its cache"
