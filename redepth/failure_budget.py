"""How many images may fail before a run is stopped: it is going wrong, and costs money."""

from __future__ import annotations

from dataclasses import dataclass

from redepth.errors import ConfigError, TooManyFailures
from redepth.settings import parse_share

# A share of few images means little: the first failure of a run would already be 100 %.
_IMAGES_BEFORE_JUDGING = 100


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """A number of failed images, or a share of those that have ended.

    A share is taken of at least 100 images, or of all where there are fewer: of "2%", the third
    failure stops a run that has not got beyond its first hundred, and any later one that makes more
    than 2 % of what has ended. Rejected images do not count: they cost nothing.
    """

    number: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> FailureBudget:
        """Read "50" (images) or "2%".

        Raises:
            ConfigError: it is neither.
        """
        try:
            if text.strip().endswith("%"):
                return cls(share=parse_share(text))
            if int(text) >= 0:
                return cls(number=int(text))
        except (ValueError, ConfigError):
            pass
        raise ConfigError(
            f'max_failures: expected a number of images or a share such as "2%", got {text!r}'
        )

    def require_kept(self, num_failed: int, num_ended: int, num_images: int, last: str) -> None:
        """Raise TooManyFailures when `is_exceeded`; `last` says what the last failure was."""
        if self.is_exceeded(num_failed, num_ended, num_images):
            allowed = f"{self.number}" if self.share is None else f"{100 * self.share:g} %"
            raise TooManyFailures(
                f"{num_failed} of the first {num_ended} images failed, allowed are {allowed} "
                "(run.actors.max_failures, --max-failures). The run was stopped; what is committed "
                f"stays, and the same command goes on. The last failure: {last}"
            )

    def is_exceeded(self, num_failed: int, num_ended: int, num_images: int) -> bool:
        """Whether so many failures are too many, of `num_ended` of a run's `num_images` images."""
        if self.share is None:
            return num_failed > (self.number or 0)
        of = max(num_ended, min(num_images, _IMAGES_BEFORE_JUDGING))
        return num_failed > self.share * of
