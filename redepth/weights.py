"""Find weights on disk, and say exactly which ones they are.

Weights are a pinned repository of the Hugging Face hub or a folder; either way they end up as a
folder that the loaders read offline. Only safetensors are read and no code of a repository is run:
a checkpoint must not be able to do anything but hold numbers.

The hub is asked through huggingface_hub, which keeps its cache under HF_HOME, takes HF_TOKEN for
gated repositories and honours HF_HUB_OFFLINE. It does its own retries; there are none here.
"""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, TransientError
from redepth.settings import (
    Licence,
    PackagedWeights,
    PublishedWeights,
    Weights,
    amended,
    licence_of,
)
from redepth.types import ModelCard

if TYPE_CHECKING:
    import torch

DIFFUSERS_STEM = "diffusion_pytorch_model"
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_UNSAFE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".h5", ".msgpack")


@dataclass(frozen=True, slots=True)
class ResolvedFolder:
    """A folder of weights on this machine, and where it came from.

    Attributes:
        path: an existing folder.
        name: the repository, the folder's name, or the repository of the preset.
        source: the repository or the folder as the recipe names it.
        revision: commit of the repository; None for a folder.
        licence: as stated by the recipe or the preset.
    """

    path: Path
    name: str
    source: str
    revision: str | None
    licence: Licence

    def card(self, role: str, files: Sequence[Path]) -> ModelCard:
        """Return the card of a model that was read from `files` (which lie under `path`)."""
        return ModelCard(
            role=role,
            name=self.name,
            source=self.source,
            revision=self.revision,
            sha256=digest_files(self.path, files),
            licence=self.licence.name,
            licence_source=self.licence.source.value,
            non_commercial=self.licence.non_commercial,
        )


def seeded_card(role: str, name: str, seed: int, state: Mapping[str, torch.Tensor]) -> ModelCard:
    """Return the card of a model made from a seed: it says "untrained"."""
    return ModelCard(
        role=role,
        name=name,
        source=f"seed {seed}",
        revision=None,
        sha256=digest_tensors(state),
        licence="none",
        untrained=True,
    )


def seeds_are_for_mini(preset: str) -> ConfigError:
    """Return the error for a seed where a coarse model has published weights."""
    return ConfigError(
        "coarse.weights.seed makes the presets 'mini' and 'mini-metric' only, got preset "
        f"{preset!r}: leave weights out for the preset's own, or name a repo or a folder"
    )


def resolve_weights(
    own: Weights, preset: PublishedWeights | None, patterns: Sequence[str]
) -> ResolvedFolder:
    """Return the folder that holds the weights, fetched from the hub if need be.

    Args:
        own: what the recipe says; wins over the preset.
        preset: what the preset says; None if no weights are published for it.
        patterns: which files of a repository to fetch (fnmatch, relative to its root).

    Raises:
        ConfigError: no such folder, repository or revision; no permission; or the hub cannot be
            reached and the files are not in the cache.
        TransientError: the hub failed in the middle of a download.
    """
    if own.folder is not None:
        return _local_folder(own, own.folder)
    if own.repo is not None and own.revision is not None:
        return _hub_folder(own.repo, own.revision, licence_of(own, preset), patterns)
    if preset is None:
        raise ConfigError(
            "nobody has published weights for this preset: train them, and name them with "
            "weights.folder (or weights.repo and weights.revision)"
        )
    if isinstance(preset, PackagedWeights):
        return _packaged_folder(preset)
    return _hub_folder(preset.repo, preset.revision, amended(preset.licence, own), patterns)


def require_folder(own: Weights) -> None:
    """Look for the folder that a recipe names, where it names one.

    Raises:
        ConfigError: it is not on this machine.
    """
    if own.folder is not None:
        _local_folder(own, own.folder)


def variant_of(own: Weights, preset: PublishedWeights | None) -> str | None:
    """Return which variant of the files to read.

    The recipe's; else that of packaged weights, or the only one that a folder of one's own holds.
    """
    if own.variant is not None or own.repo is not None:
        return own.variant
    if own.folder is not None:
        return _only_variant(Path(own.folder))
    return preset.variant if isinstance(preset, PackagedWeights) else None


def _only_variant(folder: Path) -> str | None:
    """Return the variant of a folder whose weights are all of one, as trainings write them."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]
    infixes = {_infix(file.name) for file in files}
    return infixes.pop() if len(infixes) == 1 else None


def _infix(name: str) -> str | None:
    """Return "fp16" of model.fp16.safetensors and model.fp16-00001-of-00002.safetensors."""
    stem = name.removesuffix(".safetensors")
    _, dot, rest = stem.partition(".")
    return re.sub(r"-\d+-of-\d+$", "", rest) if dot else None


def weight_patterns(stem: str, variant: str | None, subfolder: str = "") -> tuple[str, ...]:
    """Return the names that one model's weights can have: one file, or shards and their index.

    Args:
        stem: "model" (transformers) or "diffusion_pytorch_model" (diffusers).
        variant: e.g. "fp16" for model.fp16.safetensors.
        subfolder: relative to the repository's root.
    """
    prefix = f"{subfolder}/" if subfolder else ""
    infix = f".{variant}" if variant else ""
    return (
        f"{prefix}{stem}{infix}.safetensors",
        f"{prefix}{stem}{infix}-*-of-*.safetensors",
        f"{prefix}{stem}.safetensors.index{infix}.json",
    )


def weight_files(
    folder: ResolvedFolder, stem: str, variant: str | None, subfolder: str = ""
) -> list[Path]:
    """Return the safetensors files that make up one model, sorted by name.

    Raises:
        ConfigError: there are none.
    """
    whole, shards, _ = weight_patterns(stem, variant, subfolder)
    found = sorted(folder.path.glob(whole)) or sorted(folder.path.glob(shards))
    if not found:
        raise ConfigError(_no_safetensors(folder, whole))
    return found


def digest_files(root: Path, files: Sequence[Path]) -> str:
    """Return sha256 (hex) over the names and bytes of files.

    It is what `sha256sum NAMES | sha256sum` prints inside `root`, with the names sorted.
    """
    lines = []
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in files):
        with path.open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def digest_tensors(state: Mapping[str, torch.Tensor]) -> str:
    """Return sha256 (hex) over the names, dtypes, shapes and bytes of tensors, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def reading(what: str, path: Path) -> Iterator[None]:
    """Read a model with transformers or diffusers: quietly, and with errors that say the fix.

    Raises:
        ConfigError: in place of whatever the libraries raise for an unreadable folder.
    """
    from safetensors import SafetensorError

    quieten_libraries()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"cannot read {what} from {path}: {type(error).__name__}: {error}. Expected a folder "
            "as transformers' or diffusers' save_pretrained writes it, of the class that the "
            "preset stands for; check repo and revision, or the folder"
        ) from error


def quieten_libraries() -> None:
    """Switch off progress bars and everything below an error, for this process.

    What these libraries print while loading and generating (a checkpoint's unused keys, advice on
    arguments) goes to the terminal of somebody who can do nothing about it.
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    for name in ("transformers", "diffusers"):
        library = sys.modules.get(name)  # importing the other one just to silence it takes seconds
        if library is not None:
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_progress_bar()


def require_complete(what: str, folder: ResolvedFolder, loading_info: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that left parameters unset: the libraries fill them with random numbers.

    Args:
        what: the model, for the message.
        folder: where it was read from.
        loading_info: what from_pretrained(output_loading_info=True) returned.

    Raises:
        ConfigError: names the first missing parameters.
    """
    missing = sorted(loading_info["missing_keys"])
    if missing:
        raise ConfigError(
            f"{what} of {folder.source} lacks {len(missing)} parameters ({', '.join(missing[:3])}, "
            "...): the checkpoint is not of the class that the preset stands for, or not whole"
        )


def read_network(
    network_class: Any,
    folder: ResolvedFolder,
    subfolder: str,
    variant: str | None,
    dtype: torch.dtype,
) -> Any:
    """Read one network of a pipeline folder with its own class, whole and from safetensors.

    Raises:
        ConfigError: it cannot be read, or lacks parameters.
    """
    with reading(network_class.__name__, folder.path / subfolder):
        network, info = network_class.from_pretrained(
            folder.path / subfolder,
            variant=variant,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    require_complete(network_class.__name__, folder, info)
    return network


def _local_folder(own: Weights, folder: str) -> ResolvedFolder:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ConfigError(f"no folder {folder} (weights.folder) on this machine")
    return ResolvedFolder(
        path=path,
        name=path.resolve().name,
        source=folder,
        revision=None,
        licence=licence_of(own, None),
    )


def _packaged_folder(preset: PackagedWeights) -> ResolvedFolder:
    return ResolvedFolder(
        path=Path(str(resources.files("redepth"))) / preset.folder,
        name=preset.folder.removeprefix("models/"),
        source=f"redepth/{preset.folder}",
        revision=None,
        licence=preset.licence,
    )


def _hub_folder(
    repo: str, revision: str, licence: Licence, patterns: Sequence[str]
) -> ResolvedFolder:
    path = _snapshot(repo, revision, patterns)
    return ResolvedFolder(
        path=path,
        name=repo,
        source=repo,
        revision=path.name,  # the hub's cache names a snapshot's folder after its commit
        licence=licence,
    )


def _snapshot(repo: str, revision: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx

    quieten_libraries()
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise ConfigError(f"{repo!r} is not the name of a repository: {error}") from None
    except LocalEntryNotFoundError as error:
        raise ConfigError(_unreachable(repo, revision, error)) from None
    except httpx.HTTPError as error:
        raise _refused(repo, revision, error) from error


def _refused(repo: str, revision: str, error: Exception) -> ConfigError | TransientError:
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    if isinstance(error, errors.GatedRepoError):
        return ConfigError(
            f"{repo} is gated: accept its licence on its page on the hub, then set HF_TOKEN to a "
            "token of that account; or set weights.folder to a copy"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ConfigError(
            f"{repo} has no revision {revision}: give a commit, tag or branch that its page lists"
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
        return ConfigError(
            f"{repo} does not exist on the hub, or it is private: check weights.repo, set HF_TOKEN "
            "to a token that may read it, or set weights.folder to a copy"
        )
    return TransientError(f"fetching {repo} at {revision} failed: {type(error).__name__}: {error}")


def _unreachable(repo: str, revision: str, error: Exception) -> str:
    return (
        f"{repo} at {revision} is not in the hub's cache on this machine, and the hub was not "
        f"reached ({str(error).splitlines()[0]}). Either connect and unset HF_HUB_OFFLINE, or set "
        "HF_HOME to a cache that holds it, or set weights.folder to a copy"
    )


def _no_safetensors(folder: ResolvedFolder, expected: str) -> str:
    parent = (folder.path / expected).parent
    unsafe = sorted(p.name for p in parent.glob("*") if p.suffix in _UNSAFE_SUFFIXES)
    found = f"; it holds {', '.join(unsafe)}" if unsafe else ""
    return (
        f"{folder.source} has no {expected} (nor its shards){found}. Only safetensors are loaded: "
        "convert a checkpoint you trust with save_pretrained of its transformers or diffusers "
        "class, and check weights.variant"
    )
