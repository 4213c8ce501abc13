"""The gate: with the trained mini models, the method must beat the same thing without a prior.

Fixed scenes of the tuning split and the mini recipe: it does not measure how good refining is
(`make lab` does), it fails when refining, the prior or the models are broken.
"""

from __future__ import annotations

import pytest

from redepth.config import load_recipe
from redepth.lab.bench import Bench
from redepth.lab.experiments import Condition, Subject
from redepth.lab.results import change
from redepth.scenes.scene import Split

SCENES = [("faces", seed) for seed in range(8)]


@pytest.mark.slow
def test_the_full_method_beats_the_untrained_prior_on_normals() -> None:
    bench = Bench(load_recipe("mini", ("labels.refiner.num_members=1",)).labels)
    assert not any(card.untrained for card in bench.cards)
    conditions = (Condition.FULL, Condition.UNTRAINED_PRIOR)
    measured = [bench.measure(Subject(f, s, Split.TUNING, conditions)) for f, s in SCENES]
    found = change(measured, Condition.FULL, "normal_deg", before=Condition.UNTRAINED_PRIOR)
    assert found is not None
    assert found.num_images == len(SCENES)
    said = f"normals {found.change:+.1%} [{found.low:+.1%}, {found.high:+.1%}]"
    assert found.improved, f"{said} against the untrained prior: the interval must lie below 0"
