"""gaussian-splatting: inverse depth for the depth regularisation of 3D Gaussian Splatting.

    depths/{stem}.png               16 bits: inverse depth = code / 65536 * scale + offset
    sparse/0/depth_params.json      scale and offset by {stem}

as graphdeco-inria/gaussian-splatting reads them with `-d depths`, below the scene's folder. Labels
are aligned before they are written, so offset is 0, and scale is the same for all: it is what the
codes reach to, 4 times the inverse depth of the nearest points. The trainer drops pictures whose
scale is below 0.2 or above 5 times the median; so that it drops none that is aligned, no scale is a
picture's own. A picture that is unaligned or has no label has scale 0 and a file of zeros: the
trainer stops at a missing file, and leaves out a scale of 0.

It has no mask of pixels, so none is left out: an edge that is a little wrong is better than one
that is said to be infinitely far. That is what code 0 says, of pixels where the label has no value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from redepth.exports.part import ExportFacts
from redepth.exports.posed.part import PosedFormat, ViewFile, Views, describing, png
from redepth.exports.posed.scene import View
from redepth.exports.posed.settings import AlignedSettings
from redepth.reconstruction.cameras import BY_NAME

CODES = 65536
_PARAMS = "sparse/0/depth_params.json"


def encode(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return a PNG of inverse depth, and how many pixels are nearer than it can say."""
    scale = export.opened.largest_inverse_depth
    with np.errstate(divide="ignore"):
        codes_hw = np.rint(np.nan_to_num(1 / view.depth_hw) / scale * CODES)
    num_nearer = int((codes_hw >= CODES).sum())
    return png(np.clip(codes_hw, 0, CODES - 1).astype(np.uint16)), num_nearer


def scene_files(views: Views) -> Mapping[str, bytes]:
    """Return depth_params.json, and a file of zeros for each picture without a label."""
    scale = views.scene.largest_inverse_depth
    params = {
        view.image.stem: {"scale": scale if view.is_aligned else 0.0, "offset": 0.0}
        for view in views.labelled
    }
    params |= {image.stem: {"scale": 0.0, "offset": 0.0} for image in views.unlabelled}
    nothing = png(np.zeros((1, 1), dtype=np.uint16))
    files = {f"depths/{image.stem}.png": nothing for image in views.unlabelled}
    return {**files, _PARAMS: (json.dumps(params, indent=2) + "\n").encode()}


_DEPTH = {
    "kind": "inverse z-depth",
    "type": "uint16",
    "value": "code / 65536 * scale + offset",
    "scale": f"in {_PARAMS}, offset too",
    "invalid": 0,
    "precision": "scale / 131072",
}


FORMAT = PosedFormat(
    name="gaussian-splatting",
    files="`depths/NAME.png`, inverse depth, and `sparse/0/depth_params.json`",
    describe=describing(_DEPTH),
    settings=AlignedSettings,
    view_files=(ViewFile("depths/{stem}.png", encode),),
    scene_files=scene_files,
    scene_names=(_PARAMS,),
    cameras=(BY_NAME["SIMPLE_PINHOLE"], BY_NAME["PINHOLE"]),
)
