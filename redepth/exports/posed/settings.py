"""What may be chosen of an export that is aligned to a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from redepth.exports.part import ExportSettings
from redepth.reconstruction.aligning import AlignmentRules
from redepth.settings import UnitInterval

_RULES = AlignmentRules()


@dataclass(frozen=True, slots=True)
class LeavingOut:
    """Which pixels have no depth although their label has a value.

    Attributes:
        min_confidence: those of a smaller one, or of none; None is all of them.
        max_depth_ratio: those farther than so many times the farthest points of their picture.
        keep_edges: whether those between two surfaces keep theirs.
    """

    min_confidence: float | None
    max_depth_ratio: float
    keep_edges: bool


class AlignedSettings(ExportSettings):
    """Where poses and sparse points are, and what is asked of an alignment."""

    colmap: Path | None = Field(
        None, description="folder of a COLMAP model: poses and sparse points (also --colmap)"
    )
    transforms: Path | None = Field(
        None, description="a transforms.json of nerfstudio: poses, where there is no COLMAP model"
    )
    lidar: Path | None = Field(
        None, description="a PLY of points in the world of the poses, instead of the model's"
    )
    min_points: int = Field(
        _RULES.min_points, ge=2, description="a picture that sees fewer points is unaligned"
    )
    min_inlier_share: UnitInterval = Field(
        _RULES.min_inlier_share, description="with a smaller share of inliers it is unaligned"
    )
    tolerance: float = Field(
        _RULES.tolerance, gt=0, lt=1, description="of an inlier, as a share of the point's depth"
    )
    metric_shift: bool = Field(
        _RULES.metric_shift, description="whether metric labels are shifted too, not scaled alone"
    )

    @model_validator(mode="after")
    def _one_place_of_poses(self) -> AlignedSettings:
        if (self.colmap is None) == (self.transforms is None):
            raise ValueError("poses are needed from one place: give --colmap DIR, or transforms")
        if self.transforms is not None and self.lidar is None:
            raise ValueError("transforms has poses and no points: give lidar, a PLY of points")
        return self

    @property
    def rules(self) -> AlignmentRules:
        """What is asked of an alignment."""
        return AlignmentRules(
            self.min_points, self.min_inlier_share, self.tolerance, self.metric_shift
        )

    @property
    def leaving_out(self) -> LeavingOut | None:
        """Which pixels are to have no depth; None where every pixel keeps what it has."""
        return None


class PosedSettings(AlignedSettings):
    """Settings of formats whose readers pass over pixels without depth."""

    min_confidence: UnitInterval | None = Field(
        None, description="pixels of a smaller confidence, or of none, have no depth"
    )
    max_depth_ratio: float = Field(
        10.0,
        ge=1,
        description="pixels farther than so many times the farthest points of their picture (99 % "
        "quantile) have no depth",
    )
    keep_edges: bool = Field(
        False, description="whether pixels that hang between two surfaces keep their depth"
    )

    @property
    def leaving_out(self) -> LeavingOut:
        """Which pixels are to have no depth."""
        return LeavingOut(self.min_confidence, self.max_depth_ratio, self.keep_edges)
