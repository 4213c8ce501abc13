"""Passwords and signatures in URLs: found, left out, and nothing else taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.errors import ConfigError
from redepth.redaction import (
    has_secret,
    lost_password,
    redacted,
    redacted_text,
    refuse_secrets,
    shown,
)

SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F2026&X-Amz-Date=20261129T000000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=CANARY"
)


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("http://u:CANARY@host/a.jpg", "http://***@host/a.jpg"),
        ("HTTPS://u:CANARY@host:8080/a@b.jpg", "HTTPS://***@host:8080/a@b.jpg"),
        ("s3://CANARY@bucket/x", "s3://***@bucket/x"),
        ("http://u:CAN/ARY@host/a.jpg", "http://***@host/a.jpg"),
        ("http://u:CAN?ARY@host/a.jpg", "http://***@host/a.jpg"),
        ("http://u:CAN#ARY@host/a.jpg", "http://***@host/a.jpg"),
        ("http://u:CAN@ARY@host/a.jpg", "http://***@host/a.jpg"),
        ("sftp://:CANARY@[::1]:22/a", "sftp://***@[::1]:22/a"),
        ("zip://a.jpg::http://u:CANARY@h/all.zip", "zip://a.jpg::http://***@h/all.zip"),
        ("simplecache::s3://k:CANARY@b/x", "simplecache::s3://***@b/x"),
        ("abfs://u:CANARY@account.net/x", "abfs://***@account.net/x"),
        (f"https://h/a.jpg?{SIGNED}", "https://h/a.jpg?***"),
        ("https://h/a?id=7&sig=CANARY&se=1", "https://h/a?id=7&***"),
        ("https://h/a?X-Goog-Signature=CANARY", "https://h/a?***"),
        ("https://h/a?Expires=1&Signature=CANARY&Key-Pair-Id=CANARY", "https://h/a?***"),
        ("https://h/a?access_token=CANARY&w=3", "https://h/a?w=3&***"),
        ("https://h/a?X-Amz-%53ignature=CANARY", "https://h/a?***"),
        ("https://h/a#access_token=CANARY", "https://h/a#***"),
        ("zip://a::https://h/x.zip?sig=CANARY", "zip://a::https://h/x.zip?***"),
    ],
)
def test_a_secret_is_left_out(url: str, without: str) -> None:
    assert redacted(url) == without
    assert redacted(without) == without
    assert has_secret(url)
    assert lost_password(without) == ("@" in without)
    with pytest.raises(ConfigError, match="environment") as caught:
        refuse_secrets(url)
    assert "CAN" not in str(caught.value)
    assert "ARY" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "/folder/a@b:c/what?token=1.jpg",
        "s3://bucket/a@b.jpg",
        "s3://bucket/what?.jpg",
        "http://host:8080/me@home/a.jpg",
        "http://[::1]:9000/a@b.jpg",
        "abfs://container@account.dfs.core.windows.net/photos/a.jpg",
        "az://container/a.jpg",
        "tar://me@home.jpg::file:///x/all.tar",
        "parquet://image/3::s3://bucket/x.parquet",
        "https://host/image?id=17&w=200&author=me",
        "https://host/a.jpg?versionId=3",
        "https://host/a.jpg?Expires=1",
        "memory://a@b",
        "ray://head:10001",
    ],
)
def test_an_address_is_left_alone(url: str) -> None:
    assert redacted(url) == url
    refuse_secrets(url)


def test_signing_anew_does_not_change_what_is_kept() -> None:
    first = redacted("https://h/a.jpg?v=1&X-Amz-Date=1&X-Amz-Signature=a")
    assert first == redacted("https://h/a.jpg?v=1&X-Amz-Date=2&X-Amz-Signature=b")
    assert first != redacted("https://h/a.jpg?v=2&X-Amz-Date=2&X-Amz-Signature=b")


def test_urls_within_a_message_are_redacted() -> None:
    url = "https://h/it's.jpg?X-Amz-Signature=CANARY"
    said = f"404, message='Not Found', url='https://h/a?sig=CANARY' for {url} (gone)"
    assert "CANARY" not in redacted_text(said, url)
    assert "message='Not Found'" in redacted_text(said, url)
    assert redacted_text("no address: a/b") == "no address: a/b"


def test_a_shown_url_is_one_line() -> None:
    assert (
        shown("https://u:p@h/a\nerror: forged\x1b[2J") == "https://***@h/a error: forged\ufffd[2J"
    )


@given(
    st.sampled_from(("http", "https", "s3", "ftp", "zip://a::https")),
    st.text(st.characters(exclude_characters=":", codec="utf-8"), min_size=1),
    st.text(st.sampled_from("CANARY@/?#:&=%\\ '"), min_size=3).map("CANARY{}".format),
)
def test_no_password_comes_through(protocol: str, user: str, password: str) -> None:
    if not set(user).isdisjoint("/?#\\@"):
        return  # then what follows is a path
    url = f"{protocol}://{user}:{password}@host/a.jpg"
    assert "CANARY" not in redacted(url)
