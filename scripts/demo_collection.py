"""Write the demo's collections: five photographs, and sixteen rendered scenes with their depth.

python -m scripts.demo_collection FOLDER

FOLDER/photographs/    from scikit-image's own package, see demo_photographs.py
FOLDER/scenes/         two of each of eight families; list.csv names them with their captions
"""

from __future__ import annotations

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


def write_demo(folder: Path) -> None:
    """Write both collections anew."""
    write_photographs(folder / "photographs")
    shutil.rmtree(folder / "scenes", ignore_errors=True)
    write_collection(folder / "scenes", FAMILIES, SCENES_OF_EACH, SIZE_PX, Split.HELD_OUT)


def main() -> None:
    """Run the command line: one argument, the folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.demo_collection FOLDER")
    write_demo(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
