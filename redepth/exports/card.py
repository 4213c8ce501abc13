"""README.md of an export: a dataset card, by which Hugging Face `datasets` loads the whole folder.

Without it `datasets` takes every file below the folder for data, and words in names (train, test)
for splits.
"""

from __future__ import annotations

from typing import Any

import yaml

from redepth.exports.part import CATALOGUE, Contents, ExportFormat

NAME = "README.md"
FACTS_NAME = "export.json"
_TEXT = """
# Depth labels

Written by `redepth export`. `export.json` says of each map its kind, unit, scale, invalid value and
precision, and whether the export is complete; `{catalogue}` has a row an image, with the name of
its files (`name`).

Files: {files}.

`datasets.load_dataset` of this folder reads `{loaded}`.
"""


def head(exporter: ExportFormat, contents: Contents) -> dict[str, Any]:
    """Return the card's head: which files are data, and what their columns are."""
    files = {"split": "train", "path": exporter.loaded}
    said: dict[str, Any] = {"configs": [{"config_name": "default", "data_files": [files]}]}
    features = exporter.features(contents)
    if features:
        said["dataset_info"] = {"features": [dict(one) for one in features]}
    return said


def card(exporter: ExportFormat, contents: Contents) -> bytes:
    """Return the card's bytes."""
    said = yaml.safe_dump(head(exporter, contents), sort_keys=False)
    text = _TEXT.format(catalogue=CATALOGUE, files=exporter.files, loaded=exporter.loaded)
    return f"---\n{said}---\n{text}".encode()
