"""What a storage error means, whichever library raised it.

fsspec, s3fs, botocore, aiohttp and obstore each have exceptions of their own. This is the edge
where they are sorted into four cases; the callers turn the case into an error of `redepth.errors`.
"""

from __future__ import annotations

import errno
import re
from enum import Enum, auto


class Fault(Enum):
    """What the caller can do about it."""

    MISSING = auto()  # nothing of that name
    REFUSED = auto()  # the storage answers, and will answer the same next time
    SETUP = auto()  # nothing of this storage can be read here: credentials, packages, profile
    TRANSIENT = auto()  # the same call may go through later


# Names and not classes: a local run must not import botocore or obstore to name an error.
_SETUP_ERRORS = {
    "ConfigParseError",
    "CredentialRetrievalError",
    "InvalidConfigError",
    "NoCredentialsError",
    "NoRegionError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "UnknownConfigurationKeyError",
}
_REFUSED_ERRORS = {"PermissionDeniedError", "UnauthenticatedError"}
_MISSING_ERRORS = {"NotFoundError", "ParamValidationError"}
_MISSING_ERRNOS = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
# s3fs gives EREMCHG (Linux only) for a bucket in another region and EINVAL for most of HTTP 400.
_REFUSED_ERRNOS = {errno.EINVAL, errno.EPERM, errno.ENOSYS, getattr(errno, "EREMCHG", errno.EPERM)}
_MISSING_STATUS = {404, 410}
_TRANSIENT_STATUS = {408, 425, 429}


def classify(error: Exception) -> Fault | None:
    """Sort an error by its type, its errno or its HTTP status; None if no storage raised it."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError) or names & _SETUP_ERRORS:
        return Fault.SETUP
    if isinstance(error, PermissionError) or names & _REFUSED_ERRORS:
        return Fault.REFUSED
    if isinstance(error, FileNotFoundError | ValueError) or names & _MISSING_ERRORS:
        return Fault.MISSING
    return _by_number(error)


def _by_number(error: Exception) -> Fault | None:
    number, status = getattr(error, "errno", None), _http_status(error)
    if number in _MISSING_ERRNOS or status in _MISSING_STATUS:
        return Fault.MISSING
    if number in _REFUSED_ERRNOS:
        return Fault.REFUSED
    if status is not None and 300 <= status < 500 and status not in _TRANSIENT_STATUS:
        return Fault.REFUSED
    is_a_bug = type(error).__module__ == "builtins" and not isinstance(error, OSError)
    return None if is_a_bug else Fault.TRANSIENT


def _http_status(error: Exception) -> int | None:
    """Return aiohttp's status, or the one that obstore writes into its GenericError."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    said = str(error)
    if "incorrectly configured region" in said:  # obstore's words for a redirect
        return 301
    written = re.search(r"non-2xx status code: (\d{3})", said)
    return int(written[1]) if written else None


def in_words(error: Exception) -> str:
    """Return the first line of the error's message, or its type where it has none."""
    lines = str(error).partition("<?xml")[0].strip(" :\n").splitlines()
    return lines[0][:300] if lines else type(error).__name__
