"""Errors, grouped by what the caller does next.

A message says what failed (ids), what was expected, what came, and what to do about it.
"""


class RedepthError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigError(RedepthError):
    """Fix the recipe, the arguments or the environment, then run again. Nothing was started."""


class ImageRejected(RedepthError):
    """This file is not a usable photograph: record the reason and go on with the others.

    Attributes:
        summary: what a count of such files says.
    """

    summary = "cannot be read"


class PhotographChanged(ImageRejected):
    """Not the file that was labelled: its label says nothing about it. Label it again."""

    summary = "changed since it was labelled"


class PhotographGone(ImageRejected):
    """There is nothing where it was: bring it back, or leave it out."""

    summary = "not there any more"


class PhotographNotAllowed(ImageRejected):
    """It lies where nothing may be read: allow its root, or leave it out."""

    summary = "lies where nothing may be read (--allow)"


class RefinementFailed(RedepthError):
    """Refining this image went wrong, and trying again will not help: record it and go on."""


class MemoryShared(RedepthError):
    """Memory ran out while several images were worked on: which of them took it shows alone."""


class DeviceLost(RedepthError):
    """The GPU takes no more work from this process: only a new process can go on."""


class TransientError(RedepthError):
    """Something outside answered badly (network, storage): the same call may go through later."""


class StorageUnreachable(TransientError):
    """Nobody answers where the storage should be: correct its address, or wait until it is back."""


class RunStopped(RedepthError):
    """The run was stopped while this was still waiting: nothing is wrong, run it again."""


class TooManyFailures(RedepthError):
    """More images fail than the recipe allows: look at their reasons before more is spent."""


class CommitConflict(RedepthError):
    """Another run has changed the output since it was planned: plan again."""


class OutputBusy(RedepthError):
    """Another run works on this output: let it end, then run again."""


class LeaseLost(RedepthError):
    """Another run may have taken the output over meanwhile: stop; run again for the rest."""


class IntegrityError(RedepthError):
    """What is stored contradicts itself: stop, nothing more is written."""
