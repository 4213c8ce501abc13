"""Measurements made up by hand: what tables and pictures are tested with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from redepth.evaluation.scores import Scores
from redepth.lab.experiments import Condition, Group, Subject
from redepth.lab.measurement import Measurement, PixelCues
from redepth.lab.results import LabResult, RunFacts
from redepth.lab.scoring import Region
from redepth.scenes.scene import Split
from redepth.types import ModelCard

SIZE_PX = 16
SCORES = Scores(
    abs_rel=0.02,
    sq_rel=0.001,
    rmse=0.05,
    rmse_log=0.02,
    silog=2.0,
    log10=0.01,
    delta1=1.0,
    delta2=1.0,
    delta3=1.0,
    delta_1_05=0.9,
    normal_deg=20.0,
    edge_accuracy_px=float("nan"),
    edge_completeness_px=float("nan"),
    edge_precision=float("nan"),
    edge_recall=float("nan"),
    edge_f1=float("nan"),
    share_scored=1.0,
)
GROUP = Group(
    "toys",
    "two images",
    ("faces", "coins"),
    (Condition.COARSE, Condition.FULL, Condition.OTHER_IMAGE),
)
FACTS = RunFacts(
    command="redepth lab --quick",
    commit="abc1234",
    machine="a test",
    seconds=90.0,
    size_px=SIZE_PX,
    num_steps=3,
    num_members=2,
    departures=("num_steps: 1000 -> 3",),
    models=(ModelCard("coarse", "mini", "seed 0", None, "0" * 64, "none", untrained=True),),
)


def measurement(family: str, abs_rel: dict[Condition, float]) -> Measurement:
    """Make one of a held-out scene whose figures differ in AbsRel alone."""
    scores = {
        condition: dict.fromkeys(Region, replace(SCORES, abs_rel=value))
        for condition, value in abs_rel.items()
    }
    depth = np.full((SIZE_PX, SIZE_PX), 2.0, dtype=np.float32)
    return Measurement(
        Subject(family, 0, Split.HELD_OUT, GROUP.conditions),
        f"a {family}, light from above",
        scores,
        {Condition.COARSE: depth, Condition.FULL: depth + 0.1},
    )


def two_images() -> LabResult:
    """One image gets better by a half, the other worse by a tenth."""
    faces = {Condition.COARSE: 0.02, Condition.FULL: 0.01, Condition.OTHER_IMAGE: 0.015}
    coins = {Condition.COARSE: 0.02, Condition.FULL: 0.022, Condition.OTHER_IMAGE: 0.021}
    measurements = (measurement("faces", faces), measurement("coins", coins))
    return LabResult(FACTS, (GROUP,), 2, measurements)


def cues(seed: int, spread_knows: float) -> PixelCues:
    """Make an image whose error is drawn around its spread; 0 is a spread that knows nothing."""
    rng = np.random.default_rng(seed)
    spread = rng.lognormal(-4.0, 0.7, 2000)
    error = 0.03 * (spread / 0.02) ** spread_knows * rng.lognormal(0.0, 0.5, spread.size)
    slope, drift = rng.lognormal(-3.0, 1.0, (2, spread.size))
    return PixelCues(
        {
            "spread": spread.astype(np.float32),
            "slope": slope.astype(np.float32),
            "drift": drift.astype(np.float32),
        },
        error.astype(np.float32),
        (1.0 + error).astype(np.float32),
    )
