"""What a storage error means, whichever library raised it, and what the user is to do about it.

fsspec, s3fs, botocore, aiohttp, obstore and the operating system each have exceptions of their own.
This is the one edge where they are sorted into a few cases and become errors of `redepth.errors`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from redepth.errors import ConfigError, RedepthError, StorageUnreachable, TransientError
from redepth.printable import one_line
from redepth.redaction import redacted_text, shown


class Fault(Enum):
    """What the caller can do about it."""

    MISSING = auto()  # nothing of that name
    NO_BUCKET = auto()  # nor anything it could be in
    NOT_A_FOLDER = auto()  # a file where a folder is needed, or the other way round
    REFUSED = auto()  # the storage answers, and will answer the same next time
    SETUP = auto()  # nothing of this storage can be opened: credentials, packages, profile
    FULL = auto()  # nothing more can be written
    UNREACHABLE = auto()  # nobody answers at its address
    TRANSIENT = auto()  # the same call may go through later


# What an S3 server calls it. A refusal that concerns one object is told apart from one of the key
# itself: after the latter no other object will be given either.
_FAULT_OF_CODE = {
    "NoSuchBucket": Fault.NO_BUCKET,
    "InvalidBucketName": Fault.NO_BUCKET,
    "ExpiredToken": Fault.SETUP,
    "InvalidAccessKeyId": Fault.SETUP,
    "InvalidToken": Fault.SETUP,
    "RequestTimeTooSkewed": Fault.SETUP,
    "SignatureDoesNotMatch": Fault.SETUP,
    "TokenRefreshRequired": Fault.SETUP,
    "RequestTimeout": Fault.TRANSIENT,
    "SlowDown": Fault.TRANSIENT,
    "Throttling": Fault.TRANSIENT,
    "ThrottlingException": Fault.TRANSIENT,
}
# Names and not classes: a local run must not import botocore or obstore to name an error.
_FAULT_OF_NAME = {
    "ConfigParseError": Fault.SETUP,
    "CredentialRetrievalError": Fault.SETUP,
    "ImportError": Fault.SETUP,
    "InvalidConfigError": Fault.SETUP,
    "NoCredentialsError": Fault.SETUP,
    "NoRegionError": Fault.SETUP,
    "PartialCredentialsError": Fault.SETUP,
    "ProfileNotFound": Fault.SETUP,
    "SSOTokenLoadError": Fault.SETUP,
    "TokenRetrievalError": Fault.SETUP,
    "UnauthorizedSSOTokenError": Fault.SETUP,
    "UnknownConfigurationKeyError": Fault.SETUP,
    "ParamValidationError": Fault.NO_BUCKET,
    "InvalidURL": Fault.REFUSED,
    "NonHttpUrlClientError": Fault.REFUSED,
    "PermissionDeniedError": Fault.REFUSED,
    "PermissionError": Fault.REFUSED,
    "TooManyRedirects": Fault.REFUSED,
    "UnauthenticatedError": Fault.REFUSED,
    "ClientConnectorError": Fault.UNREACHABLE,
    "ConnectTimeoutError": Fault.UNREACHABLE,
    "ConnectionRefusedError": Fault.UNREACHABLE,
    "EndpointConnectionError": Fault.UNREACHABLE,
    "ProxyConnectionError": Fault.UNREACHABLE,
    "SSLError": Fault.UNREACHABLE,
    "gaierror": Fault.UNREACHABLE,
    "FileNotFoundError": Fault.MISSING,
    "NotFoundError": Fault.MISSING,
    "ValueError": Fault.MISSING,
}
_FAULT_OF_ERRNO = {
    errno.ENAMETOOLONG: Fault.MISSING,
    errno.ELOOP: Fault.MISSING,
    errno.EEXIST: Fault.NOT_A_FOLDER,
    errno.EISDIR: Fault.NOT_A_FOLDER,
    errno.ENOTDIR: Fault.NOT_A_FOLDER,
    errno.EDQUOT: Fault.FULL,
    errno.ENOSPC: Fault.FULL,
    errno.EPERM: Fault.REFUSED,
    errno.EROFS: Fault.REFUSED,
    # s3fs: EREMCHG (Linux only) for a bucket in another region, EINVAL for most of HTTP 400.
    errno.EINVAL: Fault.REFUSED,
    errno.ENOSYS: Fault.REFUSED,
    getattr(errno, "EREMCHG", errno.EPERM): Fault.REFUSED,
}
_MISSING_STATUS = {404, 410}
_TRANSIENT_STATUS = {408, 425, 429}

_LET_IN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) to a key that may read "
    "and write there, and AWS_ENDPOINT_URL and AWS_DEFAULT_REGION to the server that knows the key",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key that may read and write there",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY to an account that may",
}
_LET_IN_ELSEWHERE = "change its permissions, or choose another folder"
_ADDRESS = {"s3": "set AWS_ENDPOINT_URL to the server"}
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}

_EXPLANATIONS: dict[Fault, tuple[type[RedepthError], str]] = {
    Fault.MISSING: (
        ConfigError,
        "no such folder, file or bucket ({said}); check the spelling",
    ),
    Fault.NO_BUCKET: (
        ConfigError,
        "there is no such bucket ({said}); check the spelling, or create the bucket first",
    ),
    Fault.NOT_A_FOLDER: (
        ConfigError,
        "a file is where a folder is needed, or a folder where a file is ({said}); choose another",
    ),
    Fault.REFUSED: (ConfigError, "access is refused ({said}); {let_in}"),
    Fault.SETUP: (ConfigError, "cannot be opened ({said}); {let_in}"),
    Fault.FULL: (ConfigError, "the disk is full ({said}); free some space, then run again"),
    Fault.UNREACHABLE: (
        StorageUnreachable,
        "no storage answers there ({said}); {address}, and check that it is running and reachable "
        "from here",
    ),
    Fault.TRANSIENT: (TransientError, "the storage failed ({said}); try again later"),
}


@contextmanager
def storage_errors(url: str, *, missing_is_wrong: bool = False) -> Iterator[None]:
    """Raise what `explained` makes of an error of the storage at `url`; bugs pass as they are.

    A missing object stays what it was, FileNotFoundError mostly, unless `missing_is_wrong`: only
    the caller knows.
    """
    try:
        yield
    except RedepthError:
        raise
    except Exception as error:  # every storage library has its own kinds
        fault = classify(error)
        if fault is None or (fault is Fault.MISSING and not missing_is_wrong):
            raise
        raise explained(fault, url, error) from error


def classify(error: Exception) -> Fault | None:
    """Sort an error by the server's code, its type, errno or HTTP status; None for a bug."""
    fault = _FAULT_OF_CODE.get(server_code(error))
    if fault is not None:
        return fault
    if "kind: Connect," in str(error):  # obstore has one type for all that a connection may suffer
        return Fault.UNREACHABLE
    if str(error).startswith("Invalid endpoint"):  # botocore's ValueError
        return Fault.SETUP
    names = (kind.__name__ for kind in type(error).__mro__)
    by_name = next((_FAULT_OF_NAME[name] for name in names if name in _FAULT_OF_NAME), None)
    return by_name or _by_number(error)


def explained(fault: Fault, url: str, error: Exception) -> RedepthError:
    """Make the error that says what failed at `url`, and what to do about it."""
    kind, words = _EXPLANATIONS[fault]
    protocol = url.rpartition("::")[2].partition("://")[0].lower()
    protocol = _ALIASES.get(protocol, protocol)
    let_in = _LET_IN.get(protocol, _LET_IN_ELSEWHERE)
    address = _ADDRESS.get(protocol, "correct the address")
    said = words.format(said=in_words(error), let_in=let_in, address=address)
    return kind(f"{shown(url)}: {said}")


def in_words(error: Exception) -> str:
    """Return an error's gist in a line: the server's code, what a connection met, or its message.

    Nothing of the answer's body but the code: servers quote keys and signatures there. URLs in it
    are redacted.
    """
    return one_line(_gist(error, redacted_text(str(error))))


def _gist(error: Exception, message: str) -> str:
    code = server_code(error)
    if code and not code.isdigit():
        return code
    lines = message.partition("<?xml")[0].strip(" :\n").splitlines()
    line = lines[0] if lines else ""
    request = re.search(r"Error performing [A-Z]+ ([^\s?]+)\S* in .* - (.+)", line)  # obstore's
    if request:
        return f"{request[2]}: {request[1]}"[:300]
    return line[:300] if line not in ("", "None") else type(error).__name__


def server_code(error: BaseException) -> str:
    """Return the code an S3 server gave ("" if none): s3fs keeps the answer as the cause, obstore
    in the message.
    """
    link: BaseException | None = error
    while link is not None:
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        link = link.__cause__
    written = re.search(r"<Code>(\w+)</Code>", str(error))
    return written[1] if written else ""


def _by_number(error: Exception) -> Fault | None:
    number, status = getattr(error, "errno", None), _http_status(error)
    if number in _FAULT_OF_ERRNO:
        return _FAULT_OF_ERRNO[number]
    if status in _MISSING_STATUS:
        return Fault.MISSING
    if status is not None and 300 <= status < 500 and status not in _TRANSIENT_STATUS:
        return Fault.REFUSED
    is_a_bug = type(error).__module__ == "builtins" and not isinstance(error, OSError)
    return None if is_a_bug else Fault.TRANSIENT


def _http_status(error: Exception) -> int | None:
    """Return aiohttp's or botocore's status, or the one that obstore writes into its message."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
    said = str(error)
    if "incorrectly configured region" in said:  # obstore's words for a redirect
        return 301
    written = re.search(r"non-2xx status code: (\d{3})", said)
    return int(written[1]) if written else None
