"""Checkpoints: tensors as safetensors, everything else as JSON beside them. Nothing is unpickled.

A training may be resumed from a folder that somebody else wrote; its checkpoint must not be able to
do anything but hold numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from redepth.errors import ConfigError

SUFFIX = ".safetensors"
RECORDED = "recorded"  # under which a checkpoint holds its settings
_OTHERS = "values"
_TENSOR = "__tensor__"


def write_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Write nested dicts and lists of tensors, numbers and texts: beside, and then renamed.

    An interruption leaves the last whole checkpoint. Tuples come back as lists.
    """
    tensors: dict[str, Tensor] = {}
    others = json.dumps(_taken_apart(values, tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".partial")
    save_file(tensors, written, metadata={_OTHERS: others})
    written.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote, bit for bit, onto the CPU.

    Raises:
        ConfigError: it is no such file, or not whole.
    """
    with _reading(path), safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        others = json.loads((file.metadata() or {})[_OTHERS])
        values: dict[str, Any] = _put_together(others, tensors)
    return values


def read_recorded(path: Path) -> dict[str, Any]:
    """Read the settings that a checkpoint records, and none of its tensors.

    Raises:
        ConfigError: it is no such file, or not whole.
    """
    with _reading(path), safe_open(path, framework="pt") as file:
        others = json.loads((file.metadata() or {})[_OTHERS])
        recorded: dict[str, Any] = _put_together(dict(others["pairs"])[RECORDED], {})
    return recorded


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} is no checkpoint of this training ({error!r}): remove it and train anew, or "
            "leave --resume out"
        ) from error


def _taken_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Put tensors aside under numbers; dicts become lists of pairs, for JSON has text keys only."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy, since two names of one memory are refused.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {"pairs": [[key, _taken_apart(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [_taken_apart(each, tensors) for each in value]
    return value


def _put_together(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_put_together(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    return {key: _put_together(each, tensors) for key, each in value["pairs"]}
