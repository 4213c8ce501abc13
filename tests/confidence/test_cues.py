"""Every cue of the table: its numbers, what it does not change with, and where it is NaN."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.confidence.cues import CUES, LabelMaps, cues_in, cues_of
from redepth.confidence.probes import PROBES
from redepth.types import DepthKind

HW = (12, 16)
RAMP = np.linspace(1.0, 9.0, HW[0] * HW[1]).reshape(HW)
RNG = np.random.default_rng(0)
PROBED = {probe.quantity.name: RNG.uniform(0.01, 1.0, HW) for probe in PROBES}
DISPARITY = DepthKind.AFFINE_DISPARITY


def maps(scale: float = 1.0, shift: float = 0.0, kind: DepthKind = DISPARITY) -> LabelMaps:
    noise = np.random.default_rng(1).normal(0.0, 0.2, (2, *HW))
    own = {
        "coarse": RAMP * scale + shift,
        "refined": (RAMP + noise[0]) * scale + shift,
        "spread": np.abs(noise[1]) * scale,
    }
    return LabelMaps({**own, **PROBED}, kind)


@pytest.mark.parametrize("name", CUES)
def test_a_cue_is_positive_and_does_not_change_with_scale_and_shift(name: str) -> None:
    first, other = (cues_of(one, (name,))[name] for one in (maps(), maps(3.0, -2.0)))
    assert first.shape == HW
    assert (first >= 0.0).all()
    assert first == pytest.approx(other, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", CUES)
def test_a_cue_is_unknown_where_the_map_is_and_does_not_spread(name: str) -> None:
    whole = maps()
    holed = {key: np.array(map_hw) for key, map_hw in whole.maps.items()}
    for map_hw in holed.values():
        map_hw[0, 3] = np.nan
    found = cues_of(LabelMaps(holed, whole.kind), (name,))[name]
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 3]]


def test_far_grows_with_the_distance_whatever_the_kind() -> None:
    far = {
        kind: cues_of(maps(kind=kind), ("far",))["far"]
        for kind in (DISPARITY, DepthKind.AFFINE_DEPTH)
    }
    assert far[DISPARITY][-1, -1] == pytest.approx(0.1), "a large disparity is near"
    assert far[DepthKind.AFFINE_DEPTH][-1, -1] == pytest.approx(1.1)


def test_ends_and_border_are_their_formulas() -> None:
    flat = LabelMaps({"coarse": RAMP, "refined": RAMP}, DISPARITY)
    found = cues_of(flat, ("ends", "border"))
    assert found["ends"].min() == pytest.approx(0.05, abs=0.01)
    assert found["ends"].max() == pytest.approx(0.55)
    assert found["border"][0, 0] == pytest.approx(1 / 0.02)
    assert found["border"][5, 8] == pytest.approx(1 / (0.02 + 5 / 16))


def test_smoothing_keeps_the_mean_and_takes_of_the_peak() -> None:
    peak = np.zeros((40, 40))
    peak[20, 20] = 1.0
    own = {"coarse": RNG.random((40, 40)), "refined": RNG.random((40, 40)), "texture": peak}
    found = cues_of(LabelMaps(own, DISPARITY), ("texture_near", "texture_wide"))
    for smooth_hw in found.values():
        assert smooth_hw.sum() == pytest.approx(1.0, rel=1e-6)
    assert found["texture_wide"].max() < found["texture_near"].max() < 0.2


def test_labels_have_the_cues_whose_maps_they_store() -> None:
    held = cues_in(("coarse", "refined", "texture"))
    assert {"slope", "far", "texture_wide"} <= set(held)
    assert not {"spread", "mirror", "size_near"} & set(held)
    with pytest.raises(LookupError, match="the cue mirror takes the map mirror_change"):
        cues_of(LabelMaps({"coarse": RAMP, "refined": RAMP}, DISPARITY), ("mirror",))
