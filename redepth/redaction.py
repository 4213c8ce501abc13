"""Secrets in URLs: passwords and signatures, found and left out before a URL is stored or shown.

This is the one place that knows where a URL carries them:

- before the host: `http://user:password@host/a.jpg`, in each part of a chained URL too
  (`zip://a.jpg::http://user:password@host/all.zip`), and with a `/`, `?` or `#` in the password;
- in the query: what signs a URL for its bearer (S3, Google, Azure, CloudFront) and parameters that
  are called token, key, password and the like.

Azure's `abfs://container@account/...` is an address, `tar://a@b.jpg::...` a name. A password that
begins with digits and a `/` cannot be told from the port and the path of `http://host:8080/a@b.jpg`.
"""

from __future__ import annotations

import re
from itertools import filterfalse
from urllib.parse import unquote

from redepth.errors import ConfigError
from redepth.printable import one_line

REDACTED = "***"
MAX_REASON_CHARS = 2000

_URL_PARTS = re.compile(r"(::)(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::|$))")
_URL = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_CONTAINER_AT_ACCOUNT = {"abfs", "abfss", "az", "wasb", "wasbs"}
# Names follow here at once, and no host.
_WITHOUT_HOST = {
    "data", "file", "git", "github", "libarchive", "local", "memory", "parquet", "reference", "tar",
    "zip",
}  # fmt: skip
_SECRET_NAME = re.compile(
    r"x-(?:amz|goog|ms|oss|cos)-|.*(?:sig(?:nature)?$|signature|token|secret|passw|credential|auth(?!or)|hmac|"
    r"session|api[-_]?key|access[-_]?key)|(?:sig|pw|pwd|key|key-pair-id|googleaccessid|policy|sas)$",
    re.IGNORECASE,
)
# Of the parameters beside a signature: they change each time the URL is signed.
_SIGNED_WITH = re.compile(
    r"expires|se|sv|sr|sp|st|sip|spr|skoid|sktid|skt|ske|sks|skv|ss|srt", re.IGNORECASE
)


def redacted(url: str) -> str:
    """Return a URL with `***` for a user and password, and for what signs it.

    Two that differ in nothing but who signed them when become the same; further parameters, which
    may say which image it is, are kept. A path of this machine is returned as it is.
    """
    if "://" not in url:
        return url
    return "".join(map(_redacted_part, _URL_PARTS.split(url)))


def has_secret(url: str) -> bool:
    """Whether a URL carries a user, a password or a signature."""
    return redacted(url) != url


def lost_password(url: str) -> bool:
    """Whether a redacted URL had a user or a password, without which it cannot be opened."""
    return f"://{REDACTED}@" in url


def shown(url: str) -> str:
    """Return a URL or path for a person: without its secrets, on one line."""
    return one_line(redacted(url))


def redacted_text(text: str, *urls: str) -> str:
    """Redact the URLs within a message; of those in `urls` it is known where they end."""
    for url in urls:
        text = text.replace(url, redacted(url))
    return _URL_IN_TEXT.sub(lambda found: redacted(found[0]), text) if "://" in text else text


def recorded(reason: str) -> str:
    """Return the words of an exception as a catalogue records them: one line, without secrets."""
    return one_line(redacted_text(reason), MAX_REASON_CHARS)


def refuse_secrets(url: str) -> None:
    """Refuse a URL that carries a user, a password or a signature: it is stored and shown.

    Raises:
        ConfigError: it does; the message does not repeat it.
    """
    hidden = redacted(url)
    if hidden == url:
        return
    if lost_password(hidden):
        raise ConfigError(
            f"{one_line(hidden)}: a URL with a user or a password in it would end up in logs and "
            "run pages; leave it out and set the credentials in the environment "
            "(AWS_ACCESS_KEY_ID, ...), or use a role"
        )
    raise ConfigError(
        f"{one_line(hidden)}: a URL with a signature, a token or a key in it would end up in logs "
        "and run pages; set credentials in the environment (AWS_ACCESS_KEY_ID, ...), or fetch the "
        "file. Signed URLs of photographs can be labelled: name them in a list"
    )


def _redacted_part(part: str) -> str:
    """Redact one part of a chained URL."""
    found = _URL.fullmatch(part)
    if found is None:
        return part
    protocol, rest = found["protocol"].lower(), found["rest"]
    if protocol not in _WITHOUT_HOST:
        rest = _without_user(protocol, rest)
    return f"{found['protocol']}://{_without_signature(rest)}"


def _without_user(protocol: str, rest: str) -> str:
    """Leave out what stands before the host, with a separator in the password too."""
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at:
        if protocol in _CONTAINER_AT_ACCOUNT and ":" not in user:
            return rest
        return f"{REDACTED}@{rest[len(user) + 1 :]}"
    _, colon, port = authority.rpartition("]")[2].partition(":")
    if colon and not port.isdecimal() and "@" in rest:
        return f"{REDACTED}@{rest.rpartition('@')[2]}"
    return rest


def _without_signature(rest: str) -> str:
    """Leave out the secrets of query and fragment, and what comes with a signature."""
    address, hash_sign, fragment = rest.partition("#")
    address, question, query = address.partition("?")
    return f"{address}{question}{_kept(query)}{hash_sign}{_kept(fragment)}"


def _kept(query: str) -> str:
    parameters = re.split("[&;?]", query)
    if not any(map(_is_secret, parameters)):
        return query
    return "&".join([*filterfalse(_is_of_signature, parameters), REDACTED])


def _is_secret(parameter: str) -> bool:
    return "=" in parameter and _SECRET_NAME.match(_name(parameter)) is not None


def _is_of_signature(parameter: str) -> bool:
    return _is_secret(parameter) or _SIGNED_WITH.fullmatch(_name(parameter)) is not None


def _name(parameter: str) -> str:
    return unquote(parameter.partition("=")[0])
