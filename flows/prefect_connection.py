"""Ask the Prefect server that is named whether it is there, before anything is begun."""

from __future__ import annotations

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from redepth.errors import ConfigError, TransientError
from redepth.redaction import shown

ANSWER_TIMEOUT_S = 15.0
REFUSALS = (401, 403)
SERVER_ERROR = 500


def server_url() -> str:
    """Return the address of the server in PREFECT_API_URL, as it may be shown."""
    return shown(PREFECT_API_URL.value() or "")


def require_answer() -> str:
    """Ask the server of PREFECT_API_URL once for its version, and return it.

    Raises:
        ConfigError: nobody answers there within `ANSWER_TIMEOUT_S`, or no Prefect server does, or
            it refuses access.
        TransientError: the server says that it cannot answer now.
    """
    once = {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: ANSWER_TIMEOUT_S}
    try:
        with temporary_settings(once), get_client(sync_client=True) as client:
            return _version_in(client.request("GET", "/admin/version"))
    except PrefectHTTPStatusError as error:
        status = error.response.status_code
        if status >= SERVER_ERROR or status in REFUSALS:
            raise explained(error, ANSWER_TIMEOUT_S) from error
        raise _no_prefect(f"it was asked for /admin/version and answered {status}") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise explained(error, ANSWER_TIMEOUT_S) from error


def explained(error: Exception, patience_s: float) -> ConfigError | TransientError:
    """Say in a line what is wrong where the server does not answer as it should.

    Args:
        error: what the client raised.
        patience_s: how long it waited for an answer.
    """
    if isinstance(error, PrefectHTTPStatusError):
        return _of_status(error.response.status_code)
    if isinstance(error, httpx.TimeoutException):
        return ConfigError(
            f"the Prefect server at {server_url()} (PREFECT_API_URL) did not answer within "
            f"{patience_s:g} s: see whether it runs and whether something between here and "
            "there holds packets back; correct the address, or unset PREFECT_API_URL to have a "
            "server for this command alone"
        )
    return ConfigError(
        f"no Prefect server answers at {server_url()} (PREFECT_API_URL): {error}; start it "
        "(`prefect server start`), correct the address, or unset PREFECT_API_URL to have a server "
        "for this command alone"
    )


def _version_in(answer: httpx.Response) -> str:
    try:
        version = answer.json()
    except ValueError:
        version = None
    if not isinstance(version, str):
        raise _no_prefect(f"the answer to /admin/version was {answer.text[:60]!r}, not a version")
    return version


def _of_status(status: int) -> ConfigError | TransientError:
    if status in REFUSALS:
        return ConfigError(
            f"the Prefect server at {server_url()} refuses access ({status}): set "
            "PREFECT_API_AUTH_STRING to the server's, or PREFECT_API_KEY"
        )
    return TransientError(
        f"the Prefect server at {server_url()} answered {status}; see its log, then try again"
    )


def _no_prefect(found: str) -> ConfigError:
    return ConfigError(
        f"what answers at {server_url()} (PREFECT_API_URL) is no Prefect server: {found}. The "
        "address ends in /api, such as http://127.0.0.1:4200/api"
    )
