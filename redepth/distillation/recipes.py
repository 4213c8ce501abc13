"""The recipes around a student: the coarse maps that come first, the student's own, the cascade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from redepth.config import Recipe
from redepth.refiners.distilled import Distilled, DistilledModel
from redepth.refiners.identity import Identity
from redepth.settings import Weights
from redepth.training.folders import VARIANT

STUDENT, CASCADE = "student.yaml", "cascade.yaml"
CASCADE_BUDGET = "3%"


def coarse_recipe(teacher: Recipe) -> Recipe:
    """Return the teacher's recipe without its refiner: the coarse maps alone."""
    labels = teacher.labels.model_copy(update={"refiner": Identity()})
    return teacher.model_copy(
        update={"name": f"{teacher.name}, coarse maps alone", "labels": labels}
    )


def student_recipe(teacher: Recipe, model: Path) -> Recipe:
    """Return the teacher's recipe with the student in its place.

    A confidence that was fitted to the teacher's members says nothing of the student's: it becomes
    the agreement of the picture and its mirror image.

    Args:
        model: the student's folder, on every machine that labels.
    """
    weights = Weights(folder=str(model), variant=VARIANT)
    ensemble = teacher.labels.ensemble.model_copy(
        update={"confidence_mapping": None, "intervals": None}
    )
    refiner = Distilled(model=DistilledModel(weights=weights))
    labels = teacher.labels.model_copy(update={"refiner": refiner, "ensemble": ensemble})
    # What the teacher's recipe says an image costs is not what the student costs.
    cost = teacher.run.cost.model_copy(update={"seconds_per_image": None})
    return teacher.model_copy(
        update={
            "name": f"{teacher.name}-student",
            "description": f"A student of {teacher.name}: one pass an image",
            "labels": labels,
            "run": teacher.run.model_copy(update={"cost": cost}),
        }
    )


def cascade_values(teacher: Recipe, student: Recipe) -> dict[str, Any]:
    """Return the recipe that asks the student first, and the teacher where it pays, as values."""
    values = student.model_dump(mode="json")
    values["name"] = f"{teacher.name}-cascade"
    values["description"] = f"{student.name} for all, {teacher.name} where it pays"
    values["labels"]["refiner"] = {
        "method": "cascade",
        "cheap": values["labels"]["refiner"],
        "expensive": teacher.labels.refiner.model_dump(mode="json"),
        "budget": CASCADE_BUDGET,
    }
    return values


def as_yaml(values: dict[str, Any], comment: str) -> bytes:
    """Write a recipe's values as a file with a first line that says what it is."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return f"# {comment}\n{text}".encode()
