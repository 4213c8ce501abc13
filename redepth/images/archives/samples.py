"""Which pictures of a WebDataset sample are photographs: `0.jpg`, and not `0.depth.png` beside it.

A sample is what has one name up to its first dot; the rest of a name says which part of it a file
is. Where a sample has a picture without such a part, the others are none of its photographs. Where
all have one (`0.rgb.png`), those are none whose part is known to be a map. A tar of photographs
whose names have dots in them is no loss: nothing is passed over that has no other beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

BESIDE = "beside a sample's photograph"  # as what it is counted
_MAPS = frozenset(
    {
        "alpha", "albedo", "classes", "confidence", "depth", "depthmap", "disp", "disparity",
        "edge", "edges", "flow", "gt", "heatmap", "instance", "instances", "label", "labels",
        "mask", "masks", "matte", "normal", "normals", "panoptic", "sam", "seg", "segmentation",
        "semantic", "semantics", "trimap", "valid",
    }
)  # fmt: skip


class Samples:
    """The samples of a tar whose pictures have these names; memory: a short text each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._plain: set[str] = set()
        self._with_photograph: set[str] = set()
        for name in names:
            sample, part = _sample_and_part(name)
            if not part:
                self._plain.add(sample)
            elif not _is_map(part):
                self._with_photograph.add(sample)

    def is_beside(self, name: str) -> bool:
        """Whether a picture lies beside the photograph of its sample, and is none itself."""
        sample, part = _sample_and_part(name)
        if not part:
            return False
        return sample in self._plain or (_is_map(part) and sample in self._with_photograph)


def _sample_and_part(name: str) -> tuple[str, str]:
    """Split `a/0.left.depth.png` into `a/0` and `left.depth`."""
    folder, slash, file = name.rpartition("/")
    sample, _, rest = file.partition(".")
    return f"{folder}{slash}{sample}", rest.rpartition(".")[0]


def _is_map(part: str) -> bool:
    return not _MAPS.isdisjoint(part.lower().replace("_", ".").replace("-", ".").split("."))
