"""The one translation of what filesystems and object stores raise into this project's errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from redepth.errors import ConfigError, RedepthError, TransientError

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_ACCESS_REFUSED = {
    "403",
    "AccessDenied",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_BUSY = {
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Raise ConfigError or TransientError, saying the fix, for what storage at `url` raises.

    A missing object stays FileNotFoundError: only the caller knows whether that is wrong.
    """
    try:
        yield
    except RedepthError:
        raise
    except Exception as error:
        explained = _explain(error, url)
        if explained is None:
            raise
        raise explained from error


def _explain(error: Exception, url: str) -> RedepthError | None:
    for link in _causes(error):
        explained = _explain_aws(link, url) or _explain_connection(link, url)
        if explained is not None:
            return explained
    return _explain_os(error, url) if isinstance(error, OSError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it came from: s3fs keeps the server's own answer as the cause."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _explain_aws(error: BaseException, url: str) -> RedepthError | None:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    if code == "NoSuchBucket":
        return ConfigError(
            f"{url}: there is no such bucket; create the bucket first, or correct it"
        )
    if code in _ACCESS_REFUSED:
        return ConfigError(
            f"{url}: access refused ({code}); {_CREDENTIALS} to a key that may read and write "
            "there, and AWS_ENDPOINT_URL to the server that knows the key"
        )
    if code in _BUSY or status >= 500:
        return TransientError(f"{url}: the storage answered {code or status}; try again later")
    return None


def _explain_connection(error: BaseException, url: str) -> RedepthError | None:
    from botocore import exceptions as aws

    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return ConfigError(f"{url}: no credentials found; {_CREDENTIALS}, or name an AWS_PROFILE")
    if isinstance(error, aws.ProfileNotFound | aws.NoRegionError):
        return ConfigError(f"{url}: {error}; set AWS_PROFILE or AWS_DEFAULT_REGION")
    if isinstance(error, aws.EndpointConnectionError):
        return ConfigError(
            f"{url}: no storage answers there ({error}); set AWS_ENDPOINT_URL to the server, and "
            "check that it is running and reachable from here"
        )
    passing = aws.HTTPClientError | aws.ConnectionError | TimeoutError | ConnectionError
    if isinstance(error, passing) or type(error).__module__.startswith("aiohttp."):
        return TransientError(f"{url}: the connection failed ({error!r}); try again later")
    return None


def _explain_os(error: OSError, url: str) -> RedepthError | None:
    if error.errno in _FULL:
        return ConfigError(f"{url}: the disk is full; free some space, then run again")
    if error.errno in _NOT_WRITABLE or isinstance(error, PermissionError):
        return ConfigError(
            f"{url}: no right to read or write there ({error}); choose another folder or change "
            "its permissions"
        )
    if error.errno in _NOT_A_FOLDER:
        return ConfigError(f"{url}: a file is where a folder is needed ({error}); choose another")
    if error.errno in _PASSING:
        return TransientError(f"{url}: the storage failed ({error}); try again later")
    return None
