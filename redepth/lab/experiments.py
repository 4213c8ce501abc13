"""What is measured: groups of families, the conditions they are refined under, and the scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from redepth.errors import ConfigError
from redepth.scenes.families import families
from redepth.scenes.scene import SceneKind, Split

FIRST_SEED = 0


class Condition(StrEnum):
    """What a map was made by. Only FULL and ENSEMBLE are the method; the others say why it works.

    COARSE: the depth network alone.
    FULL: one member of the method.
    ENSEMBLE: the reduced members, of which FULL is the first.
    SMOOTHNESS_ONLY: the prior has no say.
    UNTRAINED_PRIOR: a prior of the same architecture whose weights come from a seed.
    WRONG_CAPTION: the thing is named as one of another family; the light is named rightly.
    OTHER_IMAGE: the shading is laid over the picture of another scene of the family.
    FAMILY_MEAN: the mean disparity of the family's tuning scenes; it has not seen the picture.
    """

    COARSE = "coarse"
    FULL = "full_method"
    ENSEMBLE = "ensemble"
    SMOOTHNESS_ONLY = "smoothness_only"
    UNTRAINED_PRIOR = "untrained_prior"
    WRONG_CAPTION = "wrong_caption"
    OTHER_IMAGE = "other_image"
    FAMILY_MEAN = "family_mean"

    @property
    def summary(self) -> str:
        """The condition as a person reads it."""
        return self.value.replace("_", " ")


METHOD = (Condition.COARSE, Condition.FULL)
# Those that need no prior cost next to nothing.
CHEAP_CONTROLS = (Condition.SMOOTHNESS_ONLY, Condition.FAMILY_MEAN)
EXPENSIVE_CONTROLS = (Condition.UNTRAINED_PRIOR, Condition.WRONG_CAPTION, Condition.OTHER_IMAGE)


@dataclass(frozen=True, slots=True)
class Group:
    """Families that are measured together, and under which conditions."""

    name: str
    summary: str
    families: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def seeds(self, family: str, count: int) -> range:
        """Return the seeds of a family when `count` scenes are shared out, the first ones first."""
        share, rest = divmod(count, len(self.families))
        own = share + (self.families.index(family) < rest)
        return range(FIRST_SEED, FIRST_SEED + own)


CANONICAL = Group(
    "canonical",
    "out of distribution, with a canonical form",
    ("faces", "coins"),
    (*METHOD, Condition.SMOOTHNESS_ONLY, *EXPENSIVE_CONTROLS, Condition.FAMILY_MEAN),
)
RELIEFS = Group(
    "reliefs",
    "out of distribution, all reliefs",
    families(kind=SceneKind.RELIEF, in_distribution=False),
    (*METHOD, Condition.ENSEMBLE, *CHEAP_CONTROLS),
)
IN_DISTRIBUTION = Group(
    "in-distribution",
    "reliefs the depth network was trained on",
    families(kind=SceneKind.RELIEF, in_distribution=True),
    (*METHOD, *CHEAP_CONTROLS),
)
OBJECTS = Group(
    "objects",
    "things before a wall",
    families(kind=SceneKind.OBJECTS, in_distribution=True)
    + families(kind=SceneKind.OBJECTS, in_distribution=False),
    (*METHOD, *CHEAP_CONTROLS),
)
GROUPS = {group.name: group for group in (CANONICAL, RELIEFS, IN_DISTRIBUTION, OBJECTS)}
# Where an ensemble is run and its confidence tested.
CONFIDENCE = RELIEFS


@dataclass(frozen=True, slots=True)
class Subject:
    """One scene, the conditions it is measured under and how many members ENSEMBLE has.

    With ENSEMBLE among the conditions the pixels' cues are kept as well.
    """

    family: str
    seed: int
    split: Split
    conditions: tuple[Condition, ...]
    num_members: int = 1


def groups_of(names: Sequence[str]) -> tuple[Group, ...]:
    """Return groups by name, each once; all of them for no name.

    Raises:
        ConfigError: there is no such group.
    """
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise ConfigError(f"no group {unknown[0]!r} in the lab; known: {', '.join(GROUPS)}")
    return tuple(GROUPS[name] for name in dict.fromkeys(names or GROUPS))


def plan_subjects(
    groups: Sequence[Group], count: int, num_tuning: int, num_members: int
) -> list[Subject]:
    """List what is to be measured; a scene that two groups share is measured once.

    Args:
        count: held-out scenes of each group; half of them for ENSEMBLE.
        num_tuning: tuning scenes for the confidence; none are listed without its group.
        num_members: of the ensemble; 1 for none.
    """
    found: dict[tuple[str, int], Subject] = {}
    for group in groups:
        for family in group.families:
            with_ensemble = group.seeds(family, count // 2) if num_members > 1 else range(0)
            for seed in group.seeds(family, count):
                left_out = () if seed in with_ensemble else (Condition.ENSEMBLE,)
                wanted = tuple(c for c in group.conditions if c not in left_out)
                old = found.get((family, seed))
                conditions = dict.fromkeys((*(old.conditions if old else ()), *wanted))
                found[family, seed] = Subject(
                    family, seed, Split.HELD_OUT, tuple(conditions), num_members
                )
    tuning = [
        Subject(family, seed, Split.TUNING, (Condition.ENSEMBLE,), num_members)
        for family in CONFIDENCE.families
        for seed in CONFIDENCE.seeds(family, num_tuning)
        if CONFIDENCE in groups and num_members > 1
    ]
    return [*found.values(), *tuning]
