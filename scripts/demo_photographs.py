"""Write the five photographs of the demo, taken from scikit-image's own package, into a folder.

    python -m scripts.demo_photographs FOLDER

The files are copied byte for byte; nothing is downloaded, and none of them is in this
repository.
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path

# Only files that the wheel itself carries: skimage.data fetches most of the others from the web.
PHOTOGRAPHS = {
    "astronaut.png": "Eileen Collins, NASA, public domain",
    "chelsea.png": "a cat, Stéfan van der Walt, CC0",
    "coffee.png": "a cup of coffee, Rachel Michetti and Pikolo Espresso Bar, CC0",
    "rocket.jpg": "launch of a Falcon 9, SpaceX, public domain",
    "motorcycle_left.png": "left view of a stereo pair, Middlebury 2014, Scharstein et al.",
}


def write_photographs(folder: Path) -> list[Path]:
    """Copy the photographs into `folder`, which is made if need be, and return their paths.

    Raises:
        FileNotFoundError: this version of scikit-image does not carry one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    carried = resources.files("skimage") / "data"
    written = []
    for name in PHOTOGRAPHS:
        with resources.as_file(carried / name) as source:
            written.append(Path(shutil.copyfile(source, folder / name)))
    return written


def main() -> None:
    """Run the command line: one argument, the folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.demo_photographs FOLDER")
    for path in write_photographs(Path(sys.argv[1])):
        print(f"{path}: {PHOTOGRAPHS[path.name]}")


if __name__ == "__main__":
    main()
