"""Write the demo's collection: five photographs, sixteen rendered scenes, and a list of both.

python -m scripts.demo_collection FOLDER

FOLDER/photographs/    from scikit-image's own package, see demo_photographs.py
FOLDER/scenes/         two of each of eight families, with their exact depth beside them
FOLDER/list.csv        what redepth label reads; scenes have captions, photographs have none
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

from redepth.scenes.collection import write_collection
from redepth.scenes.scene import Split
from scripts.demo_photographs import write_photographs

# The first four are what the mini depth network was never shown; two are things before a wall.
FAMILIES = ("faces", "coins", "cloth", "leaves", "pebbles", "swells", "solids", "wires")
SCENES_OF_EACH = 2
SIZE_PX = 64  # at which the mini recipe works
LIST_NAME = "list.csv"


def write_demo(folder: Path) -> Path:
    """Write the collection anew and return the path of its list."""
    photographs = write_photographs(folder / "photographs")
    shutil.rmtree(folder / "scenes", ignore_errors=True)
    scenes = write_collection(folder / "scenes", FAMILIES, SCENES_OF_EACH, SIZE_PX, Split.HELD_OUT)
    rows = [(path.relative_to(folder).as_posix(), "") for path in photographs]
    rows += [(f"scenes/{scene.uri}", scene.caption) for scene in scenes]
    path = folder / LIST_NAME
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("uri", "caption"))
        writer.writerows(rows)
    return path


def main() -> None:
    """Run the command line: one argument, the folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.demo_collection FOLDER")
    print(write_demo(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
