"""The gate: with the trained mini models, the method must beat the same thing without a prior.

Fixed scenes of the tuning split, few steps: it does not measure how good refining is (`make lab`
does), it fails when refining, the prior or the models are broken.
"""

from __future__ import annotations

import pytest

from redepth.config import load_recipe
from redepth.lab.bench import Bench
from redepth.lab.experiments import Condition, Subject
from redepth.lab.results import change
from redepth.scenes.scene import Split

SCENES = [(family, seed) for family in ("faces", "coins") for seed in range(4)]
STEPS = ("labels.refiner.num_steps=60", "labels.refiner.token_learning_rate=0.003")


@pytest.mark.slow
def test_the_full_method_beats_the_untrained_prior_on_normals() -> None:
    bench = Bench(load_recipe("mini", STEPS).labels)
    assert not any(card.untrained for card in bench.cards)
    conditions = (Condition.FULL, Condition.UNTRAINED_PRIOR)
    measured = [bench.measure(Subject(f, s, Split.TUNING, conditions)) for f, s in SCENES]
    found = change(measured, Condition.FULL, "normal_deg", before=Condition.UNTRAINED_PRIOR)
    assert found is not None
    assert found.num_images == len(SCENES)
    assert found.change < 0.0, f"normals {found.change:+.1%} against the untrained prior"
