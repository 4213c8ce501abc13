"""Where weights come from, what is fetched, how it is digested, and what a wrong recipe is told."""

import hashlib
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors
from huggingface_hub.utils import filter_repo_objects, httpx

from redepth.errors import ConfigError, TransientError
from redepth.settings import (
    HubWeights,
    Licence,
    LicenceSource,
    PackagedWeights,
    PublishedWeights,
    Weights,
)
from redepth.weights import (
    ResolvedFolder,
    digest_files,
    digest_tensors,
    reading,
    require_complete,
    resolve_weights,
    seeded_card,
    variant_of,
    weight_files,
    weight_patterns,
)

PRESET = HubWeights("someone/depth", "0" * 40, Licence("CC-BY-NC-4.0", non_commercial=True))
PATTERNS = ("config.json", *weight_patterns("model", None))


def folder_at(path: Path) -> ResolvedFolder:
    return ResolvedFolder(path, path.name, str(path), None, Licence("MIT"))


@pytest.fixture
def offline_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's own cache layout with one repository in it, and no way out."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for repo in ("someone/depth", "other/depth"):
        stored = tmp_path / f"models--{repo.replace('/', '--')}"
        (stored / "refs").mkdir(parents=True)
        (stored / "refs" / "main").write_text("0" * 40)
        snapshot = stored / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
    return tmp_path


PACKAGED = PackagedWeights("models/mini/depth")


@pytest.mark.parametrize(
    ("own", "preset", "variant"),
    [
        (Weights(), PACKAGED, "fp16"),
        (Weights(), PRESET, None),
        (Weights(variant="bf16"), PRESET, "bf16"),
        (Weights(folder="/x"), PACKAGED, None),
        (Weights(repo="a/b", revision="c"), PACKAGED, None),
    ],
)
def test_variant_of(own: Weights, preset: PublishedWeights, variant: str | None) -> None:
    assert variant_of(own, preset) == variant


@pytest.mark.parametrize(
    ("files", "variant"),
    [
        (["model.fp16.safetensors"], "fp16"),
        (["unet/diffusion_pytorch_model.fp16.safetensors", "vae/d.fp16.safetensors"], "fp16"),
        (
            ["model.bf16-00001-of-00002.safetensors", "model.bf16-00002-of-00002.safetensors"],
            "bf16",
        ),
        (["model.safetensors"], None),
        (["model-00001-of-00002.safetensors"], None),
        (["model.safetensors", "model.fp16.safetensors"], None),
        (["model.fp16.safetensors", "model.bf16.safetensors"], None),
        ([], None),
    ],
)
def test_the_only_variant_of_a_folder_is_found(
    files: list[str], variant: str | None, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert variant_of(Weights(folder=str(tmp_path)), None) == variant
    assert variant_of(Weights(folder=str(tmp_path), variant="own"), None) == "own"


def test_packaged_weights_lie_in_the_package() -> None:
    found = resolve_weights(Weights(), PACKAGED, PATTERNS)
    assert found.path.is_dir()
    assert found.path.parent.parent.parent.name == "redepth"
    assert (found.name, found.source) == ("mini/depth", "redepth/models/mini/depth")
    assert (found.licence, found.revision) == (Licence("Apache-2.0"), None)


def test_a_folder_wins_over_the_preset(tmp_path: Path) -> None:
    own = Weights(folder=str(tmp_path), licence="MIT")
    assert resolve_weights(own, PRESET, PATTERNS) == ResolvedFolder(
        tmp_path, tmp_path.name, str(tmp_path), None, Licence("MIT", LicenceSource.RECIPE)
    )


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(ConfigError, match="no folder /not/there"):
        resolve_weights(Weights(folder="/not/there"), PRESET, PATTERNS)


def test_the_preset_is_found_in_the_cache(offline_cache: Path) -> None:
    found = resolve_weights(Weights(), PRESET, PATTERNS)
    assert found.path.is_relative_to(offline_cache)
    assert (found.source, found.revision, found.licence) == (
        "someone/depth",
        "0" * 40,
        PRESET.licence,
    )
    assert found.licence.non_commercial


@pytest.mark.usefixtures("offline_cache")
def test_a_branch_is_resolved_to_its_commit() -> None:
    own = Weights(repo="other/depth", revision="main")
    assert resolve_weights(own, PACKAGED, PATTERNS).revision == "0" * 40


@pytest.mark.usefixtures("offline_cache")
@pytest.mark.parametrize(
    ("own", "licence", "non_commercial"),
    [
        (Weights(repo="other/depth", revision="main"), "not stated", False),
        (Weights(repo="other/depth", revision="main", licence="MIT"), "MIT", False),
        (Weights(repo="someone/depth", revision="main"), "CC-BY-NC-4.0", True),
        (Weights(licence="bought"), "bought", True),
        (Weights(repo="other/depth", revision="main", non_commercial=True), "not stated", True),
    ],
)
def test_the_preset_speaks_for_its_own_repository_alone(
    own: Weights, licence: str, non_commercial: bool
) -> None:
    found = resolve_weights(own, PRESET, PATTERNS)
    assert (found.licence.name, found.licence.non_commercial) == (licence, non_commercial)


@pytest.mark.usefixtures("offline_cache")
@pytest.mark.parametrize(
    "own",
    [Weights(repo="absent/repo", revision="main"), Weights(repo="other/depth", revision="absent")],
)
def test_offline_and_not_in_the_cache_says_every_way_out(own: Weights) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_weights(own, PACKAGED, PATTERNS)
    for way_out in ("HF_HUB_OFFLINE", "HF_HOME", "weights.folder"):
        assert way_out in str(caught.value)


@pytest.mark.usefixtures("offline_cache")
def test_a_name_that_is_no_repository() -> None:
    with pytest.raises(ConfigError, match="not the name of a repository"):
        resolve_weights(Weights(repo="a/b/c", revision="main"), PACKAGED, PATTERNS)


def hub_error(name: str, status: int) -> Callable[[], Exception]:
    def make() -> Exception:
        request = httpx.Request("GET", "https://hub.invalid")
        response = httpx.Response(status, request=request)
        error: Exception = getattr(errors, name)("refused", response=response)
        return error

    return make


@pytest.mark.parametrize(
    ("make", "expected", "words"),
    [
        (hub_error("GatedRepoError", 403), ConfigError, "HF_TOKEN"),
        (hub_error("RepositoryNotFoundError", 404), ConfigError, "does not exist"),
        (hub_error("RevisionNotFoundError", 404), ConfigError, "no revision"),
        (hub_error("HfHubHTTPError", 401), ConfigError, "HF_TOKEN"),
        (hub_error("HfHubHTTPError", 503), TransientError, "someone/depth"),
        (lambda: httpx.ConnectError("reset"), TransientError, "ConnectError"),
        (lambda: errors.LocalEntryNotFoundError("no way"), ConfigError, "weights.folder"),
    ],
)
def test_what_the_hub_refuses(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Exception],
    expected: type[Exception],
    words: str,
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise make()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(expected, match=words):
        resolve_weights(Weights(), PRESET, PATTERNS)


@pytest.mark.parametrize(
    ("variant", "fetched"),
    [
        (
            None,
            ["unet/m.safetensors", "unet/m-1-of-2.safetensors", "unet/m.safetensors.index.json"],
        ),
        ("fp16", ["unet/m.fp16.safetensors", "unet/m.safetensors.index.fp16.json"]),
    ],
)
def test_patterns_fetch_one_variant_of_one_model(variant: str | None, fetched: list[str]) -> None:
    repository = [
        "m.safetensors",
        "v1-5-pruned.safetensors",
        "unet/m.safetensors",
        "unet/m-1-of-2.safetensors",
        "unet/m.safetensors.index.json",
        "unet/m.fp16.safetensors",
        "unet/m.safetensors.index.fp16.json",
        "unet/m.non_ema.safetensors",
        "unet/m.bin",
        "unet/m.fp16.bin",
        "unet/modeling.py",
        "vae/m.safetensors",
    ]
    patterns = weight_patterns("m", variant, "unet")
    assert list(filter_repo_objects(repository, allow_patterns=[*patterns])) == fetched


def test_whole_file_wins_over_shards(tmp_path: Path) -> None:
    for name in ("m.safetensors", "m-1-of-2.safetensors", "m-2-of-2.safetensors"):
        (tmp_path / name).touch()
    assert weight_files(folder_at(tmp_path), "m", None) == [tmp_path / "m.safetensors"]
    (tmp_path / "m.safetensors").unlink()
    names = [path.name for path in weight_files(folder_at(tmp_path), "m", None)]
    assert names == ["m-1-of-2.safetensors", "m-2-of-2.safetensors"]


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ConfigError, match=r"holds pytorch_model\.bin.*Only safetensors"):
        weight_files(folder_at(tmp_path), "model", None)


def test_digest_is_what_sha256sum_gives(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    files = [tmp_path / "unet" / "b.safetensors", tmp_path / "a.safetensors"]
    for path in files:
        path.write_bytes(path.name.encode() * 1000)
    command = "sha256sum a.safetensors unet/b.safetensors | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert digest_files(tmp_path, files) == printed.stdout.decode().split()[0]
    assert digest_files(tmp_path, files[::-1]) == digest_files(tmp_path, files)


def test_digest_sees_names_and_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"1")
    before = digest_files(tmp_path, [first])
    assert digest_files(tmp_path, [second]) != before
    first.write_bytes(b"2")
    assert digest_files(tmp_path, [first]) != before


def test_digest_of_tensors_sees_names_shapes_and_values() -> None:
    values = torch.arange(6, dtype=torch.float32)
    states = [
        {"w": values},
        {"v": values},
        {"w": values.view(2, 3)},
        {"w": values.double()},
        {"w": values + 1},
        {"w": values, "v": values},
    ]
    assert len({digest_tensors(state) for state in states}) == len(states)
    assert digest_tensors({"w": values.view(2, 3).t()}) == digest_tensors(
        {"w": values.view(2, 3).t().contiguous()}
    )
    assert digest_tensors({"a": values, "b": values}) == digest_tensors({"b": values, "a": values})


def test_a_seeded_card_says_untrained() -> None:
    card = seeded_card("prior", "mini", 3, {"w": torch.zeros(1)})
    assert card.untrained
    assert (card.source, card.revision) == ("seed 3", None)


def test_card_names_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    card = folder_at(tmp_path).card("coarse", [path])
    line = f"{hashlib.sha256(b'weights').hexdigest()}  model.safetensors\n"
    assert card.sha256 == hashlib.sha256(line.encode()).hexdigest()
    assert (card.role, card.name, card.untrained) == ("coarse", tmp_path.name, False)


@pytest.mark.parametrize(
    "error", [OSError("gone"), ValueError("odd"), RuntimeError("size mismatch")]
)
def test_reading_says_what_and_where(error: Exception, tmp_path: Path) -> None:
    expected = pytest.raises(ConfigError, match=f"cannot read the UNet from .*{error}")
    with expected, reading("the UNet", tmp_path):
        raise error


def test_reading_keeps_warnings_to_itself_and_only_its_own(tmp_path: Path) -> None:
    with reading("the UNet", tmp_path):
        warnings.warn("advice for developers", FutureWarning, stacklevel=1)
    with pytest.warns(FutureWarning, match="ours"):
        warnings.warn("ours", FutureWarning, stacklevel=1)


def test_a_checkpoint_with_holes_is_refused(tmp_path: Path) -> None:
    require_complete("the UNet", folder_at(tmp_path), {"missing_keys": set()})
    with pytest.raises(ConfigError, match=r"lacks 2 parameters \(a, b"):
        require_complete("the UNet", folder_at(tmp_path), {"missing_keys": {"b", "a"}})
