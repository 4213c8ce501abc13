"""Whatever a storage library raises becomes one error that says the fix; bugs stay bugs."""

from __future__ import annotations

import errno

import pytest
from botocore import exceptions as aws

from redepth.errors import (
    ConfigError,
    IntegrityError,
    RedepthError,
    StorageUnreachable,
    TransientError,
)
from redepth.storage_errors import Fault, classify, explained, in_words, storage_errors


class GenericError(Exception):
    """Stands for obstore's: one type for everything, told apart by its message."""


def _answer(code: str, status: int) -> aws.ClientError:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(response, "PutObject")


def _from_s3fs(kind: type[OSError], code: str, status: int) -> OSError:
    error = kind("None")
    error.__cause__ = _answer(code, status)
    return error


def _from_obstore(said: str) -> GenericError:
    request = (
        "Generic S3 error: Error performing GET http://host:9/b?list-type=2&prefix=p%2F in 1ms"
    )
    return GenericError(f"{request}, after 5 retries, retry_timeout: 30s  - {said}")


REFUSED_BY_OBSTORE = _from_obstore(
    "Server returned non-2xx status code: 403 Forbidden: <?xml version='1.0'?><Error>"
    "<Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId></Error>"
)
REFUSED_CONNECTION = _from_obstore(
    "HTTP error: error sending request\n\nDebug source:\nHttpError {\n kind: Connect,\n"
)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (_from_s3fs(FileNotFoundError, "NoSuchBucket", 404), ConfigError, "create the bucket"),
        (_from_s3fs(PermissionError, "SignatureDoesNotMatch", 403), ConfigError, "AWS_SECRET_ACC"),
        (_from_s3fs(PermissionError, "403", 403), ConfigError, "AWS_ENDPOINT_URL"),
        (_from_s3fs(OSError, "SlowDown", 503), TransientError, "SlowDown.*try again"),
        (_from_s3fs(OSError, "InternalError", 500), TransientError, "try again"),
        (REFUSED_BY_OBSTORE, ConfigError, r"\(SignatureDoesNotMatch\); set AWS_ACCESS_KEY_ID"),
        (REFUSED_CONNECTION, StorageUnreachable, r"\(HTTP error: .* http://host:9/b\); set AWS_EN"),
        (aws.NoCredentialsError(), ConfigError, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (aws.ParamValidationError(report="Invalid bucket name"), ConfigError, "no such bucket"),
        (ValueError("Invalid endpoint: host:9"), ConfigError, "Invalid endpoint: host:9.*set AWS"),
        (
            aws.EndpointConnectionError(endpoint_url="http://x"),
            StorageUnreachable,
            "AWS_ENDPOINT_URL",
        ),
        (aws.SSLError(endpoint_url="https://x", error="x"), StorageUnreachable, "AWS_ENDPOINT_URL"),
        (aws.ReadTimeoutError(endpoint_url="http://x"), TransientError, "try again"),
        (aws.ConnectionClosedError(endpoint_url="http://x"), TransientError, "try again"),
        (TimeoutError(), TransientError, "TimeoutError.*try again"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), TransientError, "try again"),
        (OSError(errno.EDQUOT, "quota"), ConfigError, "free some space"),
        (OSError(errno.EIO, "input/output"), TransientError, "try again"),
    ],
)
def test_an_error_says_the_fix(error: Exception, kind: type[RedepthError], message: str) -> None:
    with pytest.raises(RedepthError, match=message) as raised, storage_errors("s3://bucket/x"):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value).startswith("s3://bucket/x: ")
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_needs_no_credentials(number: int) -> None:
    with pytest.raises(ConfigError, match="choose another folder"), storage_errors("/labels"):
        raise OSError(number, "denied")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3a://bucket/x", "AWS_PROFILE"),
        ("gs://bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("zip://a.jpg::S3://bucket/all.zip", "AWS_PROFILE"),
    ],
)
def test_the_fix_is_that_of_the_storage(url: str, said: str) -> None:
    assert said in str(explained(Fault.REFUSED, url, PermissionError()))


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("x"),
        ValueError("a bug"),
        KeyError("a bug"),
        IntegrityError("ours"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_pass_as_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, storage_errors("s3://bucket/x"):
        raise error
    assert raised.value is error


def test_what_is_missing_may_be_wrong() -> None:
    with (
        pytest.raises(ConfigError, match="check the spelling"),
        storage_errors("s3://bucket/x", missing_is_wrong=True),
    ):
        raise FileNotFoundError("x")


def test_a_key_that_is_refused_is_refused_everywhere() -> None:
    """One object that may not be read is a rejection; a key that has expired ends the run."""
    assert classify(_from_s3fs(PermissionError, "AccessDenied", 403)) is Fault.REFUSED
    assert classify(_from_s3fs(PermissionError, "ExpiredToken", 400)) is Fault.SETUP


def test_what_servers_quote_is_not_repeated() -> None:
    assert in_words(REFUSED_BY_OBSTORE) == "SignatureDoesNotMatch"
