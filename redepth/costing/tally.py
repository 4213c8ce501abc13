"""What the images of a run took, added up as they end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from redepth.config import Recipe
from redepth.costing.devices import limits_of
from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds, decoders_of_actor, stages_of_row
from redepth.costing.work import flops_of_images, seconds_at_limit
from redepth.flops import ImageWork
from redepth.types import LabelRow


@dataclass(slots=True)
class WorkTally:
    """Sums over images that models have worked on in this run.

    Attributes:
        stages: their seconds.
        images: those with a label, by what they asked of the models.
        devices: all of them, by device.
    """

    stages: StageSeconds = field(default_factory=StageSeconds)
    images: Counter[ImageWork] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)

    def add(self, row: LabelRow, number: int = 1) -> None:
        """Add an image's row; take it back with -1."""
        stages = stages_of_row(row)
        self.stages = self.stages + stages if number > 0 else self.stages - stages
        if not row.model_seconds or row.is_stored:
            return
        if row.device is not None:
            self.devices[row.device] += number
        if row.height_px is not None and row.width_px is not None:
            image = ImageWork(row.height_px, row.width_px, row.num_steps, row.refined_by)
            self.images[image] += number

    def copy(self) -> WorkTally:
        """Return the sums as they are now."""
        return WorkTally(self.stages, +self.images, +self.devices)

    def speed(self, recipe: Recipe, num_actors: int, seconds: float) -> RunSpeed:
        """Return how fast a run was.

        Args:
            seconds: that its actors were there and had work.
        """
        device = next(iter(self.devices)) if len(self.devices) == 1 else None
        return RunSpeed(
            num_actors=num_actors,
            decoders=decoders_of_actor(recipe.run.actors, num_actors),
            seconds=seconds,
            stages=self.stages,
            device=device,
            seconds_at_limit=self._seconds_at_limit(recipe, device),
        )

    def _seconds_at_limit(self, recipe: Recipe, device: str | None) -> float | None:
        limits = None if device is None else limits_of(device)
        flops = None if limits is None else flops_of_images(recipe.labels, self.images.items())
        return None if limits is None or flops is None else seconds_at_limit(flops, limits)
