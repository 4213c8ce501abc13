"""Labels on the hub: the card says what they are, and the upload is tried on a hub of its own."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi
from typer.testing import CliRunner

from flows.cli import app
from redepth.coarse import coarse_models
from redepth.errors import ConfigError, TransientError
from redepth.exports.hub import UNKNOWN_OUTPUTS, dataset_card, outputs_words, upload
from redepth.exports.request import ExportRequest
from redepth.exports.writing import begin_export
from redepth.settings import HubWeights
from redepth.types import DepthKind
from tests.exports.export_samples import IDS, some_maps, write_labels


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as an upload of small files takes."""

    committed: dict[str, bytes]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self._said(body))

    def _said(self, body: bytes) -> dict[str, Any]:
        if self.path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            return {"url": f"https://huggingface.co/datasets/{name}", "name": name, "id": name}
        if self.path.endswith("/preupload/main"):
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for one in json.loads(body)["files"]]  # fmt: skip
            return {"files": files}
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.committed[value["path"]] = base64.b64decode(value["content"])
            return {
                "commitUrl": "https://huggingface.co/datasets/me/depth/commit/1",
                "commitOid": "1",
                "success": True,
            }
        return {}  # validate-yaml

    def _answer(self, said: dict[str, Any]) -> None:
        content = json.dumps(said).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("OwnHub", (Hub,), {"committed": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(handler, "api", _api(server.server_address[1]), raising=False)
    yield handler
    server.shutdown()
    server.server_close()


def _api(port: int) -> HfApi:
    return HfApi(endpoint=f"http://127.0.0.1:{port}", token="hf_none")


def test_a_folder_is_uploaded(hub: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.parquet").write_bytes(b"maps")
    (tmp_path / "README.md").write_text("# Labels\n")
    assert "me/depth" in upload(tmp_path, "me/depth", private=True, api=hub.api)
    assert hub.committed == {"data/a.parquet": b"maps", "README.md": b"# Labels\n"}


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(403, ConfigError, "hf auth login"), (500, TransientError, "try again")],
)
def test_a_hub_that_refuses_says_what_to_do(
    hub: Any, tmp_path: Path, status: int, error: type[Exception], words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(hub, "status", status)
    with pytest.raises(error, match=words):
        upload(tmp_path, "me/depth", private=False, api=hub.api)


def test_a_dry_run_writes_what_would_be_uploaded(tmp_path: Path) -> None:
    write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    out = tmp_path / "out"
    command = ["push", str(tmp_path / "labels"), "me/depth", "--dry-run", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "Nothing was uploaded to me/depth" in done.output and "README.md" in done.output
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["id"]) == sorted(IDS)
    assert "What the numbers are" in (out / "README.md").read_text()


def test_the_surest_pixels_alone_are_uploaded(tmp_path: Path) -> None:
    write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    out = tmp_path / "out"
    command = ["push", str(tmp_path / "labels"), "me/depth", "--dry-run", "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--keep", "50%", "--format", "npy"])
    assert done.exit_code == 0, done.output
    assert (
        "Of each image the surest 50% of the pixels have a value" in (out / "README.md").read_text()
    )
    maps = [np.load(path) for path in (out / "refined").rglob("*.npy")]
    shares = [float(np.isfinite(map_hw).mean()) for map_hw in maps]
    assert shares and all(0.4 < share < 0.6 for share in shares)  # of 70 pixels, with ties


def test_the_card_says_what_the_labels_are(tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.METRIC_DEPTH)
    plan = begin_export(labels, str(tmp_path / "out"), ExportRequest("hf-parquet"))
    text = dataset_card(plan).decode()
    head = yaml.safe_load(text.split("---")[1])
    assert head["size_categories"] == ["n<1K"] and head["configs"]
    assert "| `refined` | metric_depth_m | m | NaN |" in text
    assert "within a factor of 1.05" in text and "7 images (7 refined)" in text
    assert labels.dataset.recipe_digest in text


def test_every_published_licence_has_words_on_outputs() -> None:
    for model in coarse_models.own.values():
        if isinstance(model.weights, HubWeights):
            assert outputs_words(model.weights.licence.name) != UNKNOWN_OUTPUTS
    assert outputs_words("own terms") == UNKNOWN_OUTPUTS
