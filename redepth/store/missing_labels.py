"""What lies where labels were expected, in words, and what to give instead."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath

from redepth.errors import RedepthError
from redepth.redaction import shown
from redepth.store import layout
from redepth.store.objects import Objects, open_objects

_EXPORT = "export.json"
_MAX_EXPORT_BYTES = 4 << 20
_FOLDERS_TRIED = 32
_SHOWN = 5


def words_for_missing(objects: Objects) -> str:
    """Return the message for a root without dataset.json."""
    return f"no labels at {shown(objects.url)}: {_what_is_there(objects)}"


def _what_is_there(objects: Objects) -> str:
    if objects.is_local and Path(objects.path).is_file():
        return _of_file(objects)
    names = objects.list_all("")
    if not names:
        return (
            f"nothing is there; expected the folder that holds {layout.DATASET}, the --out of "
            "redepth label"
        )
    if _EXPORT in names:
        return _of_export(objects)
    inside = _outputs_inside(objects)
    if inside:
        more = ", ..." if len(inside) > _SHOWN else ""
        urls = ", ".join(shown(f"{objects.url}/{name}") for name in inside[:_SHOWN])
        return f"the folder holds outputs and is none; give one of them: {urls}{more}"
    parent = objects.url.rpartition("/")[0]
    if parent and _is_output(parent):
        return f"it is a part of an output; give the whole: {shown(parent)}"
    named = ", ".join(names[:_SHOWN])
    return (
        f"there is no {layout.DATASET} among {len(names)} names ({shown(named)}); expected an "
        "output's root, the --out of redepth label"
    )


def _of_file(objects: Objects) -> str:
    path = Path(objects.path)
    if not zipfile.is_zipfile(path):
        folder = f": give {path.parent}" if path.name == layout.DATASET else ", or unpack it"
        return f"it is a file; expected the folder that holds {layout.DATASET}{folder}"
    with zipfile.ZipFile(path) as archive:
        found = [PurePosixPath(name) for name in archive.namelist()]
    roots = [str(name.parent) for name in found if name.name == layout.DATASET]
    if not roots:
        return f"it is a zip archive without a {layout.DATASET}"
    urls = [f"zip://{'' if root == '.' else root}::{path}" for root in roots[:_SHOWN]]
    return f"it is a zip archive; give the folder in it: {', '.join(urls)}"


def _of_export(objects: Objects) -> str:
    words = "it is an export (redepth export); give the labels it was made of"
    try:
        labels = str(json.loads(objects.read(_EXPORT, _MAX_EXPORT_BYTES))["labels"])
    except (RedepthError, ValueError, LookupError, TypeError, RecursionError):
        labels = ""
    return f"{words}: {shown(labels)}" if labels else words


def _outputs_inside(objects: Objects) -> list[str]:
    folders = objects.folders("")[:_FOLDERS_TRIED]
    return [name for name in folders if objects.exists(f"{name}/{layout.DATASET}")]


def _is_output(url: str) -> bool:
    try:
        return open_objects(url).exists(layout.DATASET)
    except RedepthError:
        return False
