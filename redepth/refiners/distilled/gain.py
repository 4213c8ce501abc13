"""What a student knows of itself: how much its teacher would change, and what it leaves alone.

Both were fitted on labels of the teacher that were kept out of the training, and lie beside the
weights. An image's figures come from the image alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from redepth.errors import ConfigError
from redepth.settings import Settings

FILE_NAME = "gain.json"
_MAX_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Cues:
    """What is known of one image once the student has seen it.

    Attributes:
        change: mean |refined - coarse|, as a share of the coarse map's 2 % to 98 % range.
        disagreement: mean |difference| of picture and mirrored picture, as a share of the same.
        distance: to the images that were distilled from (`FamiliarImages.distance`).
    """

    change: float
    disagreement: float
    distance: float


class Gain(Settings):
    """A line through the cues that says how far the teacher's map is from the student's.

    The far end of no cue makes an expected gain smaller: the weights are at least 0.
    """

    constant: float = Field(0.0, ge=0, description="of an image without any cue")
    change: float = Field(0.0, ge=0, description="weight of the student's change")
    disagreement: float = Field(0.0, ge=0, description="weight of the members' disagreement")
    distance: float = Field(0.0, ge=0, description="weight of the distance")
    max_distance: float = Field(
        gt=0, description="of an image that the student refines; others it leaves alone"
    )

    def predict(self, cues: Cues) -> float:
        """Return mean |teacher - student| over the map, as a share of the coarse map's range."""
        return (
            self.constant
            + self.change * cues.change
            + self.disagreement * cues.disagreement
            + self.distance * cues.distance
        )


def read_gain(folder: Path) -> Gain:
    """Read a student's.

    Raises:
        ConfigError: the file is not there, or not what a student has.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as stream:
            return Gain.model_validate_json(stream.read(_MAX_BYTES))
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} is no student: it has no {FILE_NAME}. redepth distill writes one"
        ) from None
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Distil the student again") from None
