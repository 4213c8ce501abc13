"""Write a photograph with measured depth, from scikit-image's package, as Middlebury publishes it.

    python scripts/motorcycle_truth.py FOLDER
    redepth label FOLDER/photographs --out labels/ --recipe mini
    redepth evaluate labels/ --ground-truth FOLDER/truth --dataset-format middlebury

The left view of "Motorcycle" (Middlebury 2014, Scharstein et al.) and its disparity are copied
from the wheel; nothing is downloaded, and neither is in this repository.
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

SCENE = "motorcycle"
# As skimage.data.stereo_motorcycle documents the pair: lengths in px of the smaller images, in mm.
CALIBRATION = """\
cam0=[994.978 0 311.193; 0 994.978 254.877; 0 0 1]
cam1=[994.978 0 342.279; 0 994.978 254.877; 0 0 1]
doffs=31.086
baseline=193.001
width=741
height=500
"""


def write_motorcycle(folder: Path) -> tuple[Path, Path]:
    """Write the photograph and its truth below `folder`, and return the two folders.

    Raises:
        FileNotFoundError: this version of scikit-image does not carry the pair.
    """
    photographs, truth = folder / "photographs" / SCENE, folder / "truth" / SCENE
    for made in (photographs, truth):
        made.mkdir(parents=True, exist_ok=True)
    carried = resources.files("skimage") / "data"
    with resources.as_file(carried / "motorcycle_left.png") as left:
        shutil.copyfile(left, photographs / "im0.png")
    with (
        resources.as_file(carried / "motorcycle_disp.npz") as stored,
        np.load(stored, allow_pickle=False) as arrays,
    ):
        disparity_hw = np.asarray(arrays["arr_0"], dtype=np.float32)
    Image.fromarray(disparity_hw).save(truth / "disp0.pfm")
    (truth / "calib.txt").write_text(CALIBRATION, encoding="utf-8")
    return photographs.parent, truth.parent


def main() -> None:
    """Run the command line: one argument, the folder."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/motorcycle_truth.py FOLDER")
    photographs, truth = write_motorcycle(Path(sys.argv[1]))
    print(f"photograph: {photographs}\ntruth:      {truth}")


if __name__ == "__main__":
    main()
