"""Addresses with credentials are known for what they are, and lose them in texts."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag.files.credentials import has_credentials, redacted

SECRET_NAMES = (
    "access_token", "token", "id_token", "api_key", "apikey", "api-key", "key", "jwt", "sig",
    "sign", "signature", "X-Amz-Signature", "x-amz-credential", "AWSAccessKeyId",
    "X-Amz-Security-Token", "X-Goog-Signature", "GoogleAccessId", "userKey", "ACCOUNTKEY", "appkey",
    "x-oss-signature", "OSSAccessKeyId", "security-token",
    "q-signature", "q-ak", "q-sign-algorithm", "x-cos-security-token", "pwd", "password", "passwd",
    "pass", "secret", "client_secret", "clientSecret", "auth", "authkey", "Authorization", "bearer",
    "session", "sessionid", "PHPSESSID", "jsessionid", "sid", "SynoToken", "credential", "rlkey",
    "Key-Pair-Id", "tempauth", "hmac", "SAMLResponse", "accessToken", "refreshToken", "ticket",
    "cookie", "csrf", "passkey", "passcode", "kennwort", "contraseña", "mot_de_passe", "creds",
    "sso", "access%5Ftoken", "%2574oken",
)  # fmt: skip
PLAIN_NAMES = (
    "id", "page", "width", "size", "monkey", "keyword", "design", "passage", "v", "q", "author",
    "compass", "signal", "album", "format", "lang", "quality",
)  # fmt: skip
_LETTERS = string.ascii_letters + string.digits
secrets = st.text(_LETTERS + "-_.~", min_size=6, max_size=40)
hosts = st.sampled_from(("example.org", "photos.example.com:8443", "[2001:db8::1]:80", "10.0.0.7"))
schemes = st.sampled_from(("http", "https", "s3", "gs", "az", "ftp", "sftp", "webdav"))
paths = st.text(_LETTERS + "/-_.", max_size=20)
separators = st.sampled_from(("?", "#", "?a=1&", "?a=1;", "#a&", "?a#", ";"))


def encoded(draw: st.DrawFn, name: str) -> str:
    """The name, with some of its letters as a server reads them too."""
    return "".join(f"%{ord(c):02X}" if draw(st.integers(0, 5)) == 0 else c for c in name)


@st.composite
def with_secret(draw: st.DrawFn) -> tuple[str, str]:
    """An address, and the secret in it."""
    scheme, host, path, secret = draw(schemes), draw(hosts), draw(paths), "S" + draw(secrets) + "S"
    where = draw(st.sampled_from(("parameter", "user", "password", "odd password", "inner")))
    if where == "user":
        return f"{scheme}://{secret}@{host}/{path}", secret
    if where == "password":
        return f"{scheme}://me:{secret}@{host}/{path}", secret
    if where == "odd password":
        return f"{scheme}://me:x/{secret}@{host}/{path}", secret
    name = draw(st.sampled_from(SECRET_NAMES))
    name = draw(st.sampled_from((name, name.upper(), encoded(draw, name))))
    if where == "inner":
        inner = quote(f"https://{host}/?{name}={secret}", safe="")
        return f"{scheme}://{host}/{path}?url={inner}", quote(secret, safe="")
    return f"{scheme}://{host}/{path}{draw(separators)}{name}={secret}", secret


@given(with_secret(), st.sampled_from(("", "cannot open ", "a: ", "('", "x=")))
def test_no_secret_is_left_in_a_text(found: tuple[str, str], before: str) -> None:
    address, secret = found
    assert has_credentials(address)
    text = redacted(f"{before}{address}: no such file, nor {address}")
    assert secret not in text
    assert secret not in redacted(before + str(Path(address)))
    assert text.endswith("***") or "***" in text
    assert redacted(text) == text


@given(schemes, hosts, paths, st.lists(st.tuples(st.sampled_from(PLAIN_NAMES), secrets)))
def test_an_address_without_credentials_stays(
    scheme: str, host: str, path: str, parameters: list[tuple[str, str]]
) -> None:
    query = "&".join(f"{name}={value}" for name, value in parameters)
    address = f"{scheme}://{host}/{path}?{query}"
    assert not has_credentials(address)
    assert redacted(f"{address}: no such file") == f"{address}: no such file"


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)
    has_credentials(text)
    if ":/" not in text:
        assert redacted(text) == text


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        ("s3://bucket/key with @.jpg", False),
        ("s3://bucket/session=12/token=3/a&key=1.jpg", False),
        ("https://example.org/@me/a.jpg", False),
        ("https://example.org:8080/a:b.jpg", False),
        ("https://[2001:db8::1]/a.jpg", False),
        ("https://example.org/a.jpg?id=7#top", False),
        ("/photos/a=1&key=2.jpg", False),
        ("s3://ID:KEY@bucket/x.jpg", True),
        ("s3://bucket/prefix?secret_key=abc", True),
        ("https://user:pw@example.org/a.jpg", True),
        ("https://user:p/w@example.org/a.jpg", True),
        ("https://user:p#w@example.org/a.jpg", True),
        ("https://example.org/a.jpg?X-Amz-Signature=1", True),
        ("https://example.org/a.jpg?sig=1&se=2", True),
        ("https://example.org/a.jpg?resourcekey=0-1", True),
        ("https://example.org/a.jpg?pw=1", True),
        ("https://example.org/file/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/a.jpg", True),
        ("https://example.org/a.jpg?from=http://example.com/b.jpg?token=1", True),
        ("https://example.org/a.jpg?from=http://example.com/b.jpg", False),
        ("https://example.org/a.jpg#access_token=1", True),
        ("https://example.org/a.jpg?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", True),
    ],
)
def test_which_addresses_hold_credentials(uri: str, secret: bool) -> None:
    assert has_credentials(uri) is secret


def test_a_web_token_is_redacted_to_its_end() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    assert redacted(f"http://example.org/{token}?a=1") == "http://example.org/***?a=1"


@pytest.mark.parametrize(
    "name", ["code", "md5", "hash", "st", "oh", "share", "share_code", "verify"]
)
def test_a_name_that_may_be_innocent_is_secret_with_a_long_value(name: str) -> None:
    secret = "0Aq9Zt3kL7_xW2-b8"
    assert has_credentials(f"https://example.org/a.jpg?{name}={secret}")
    assert secret not in redacted(f"no answer from https://example.org/a.jpg?w=100&{name}={secret}")
    assert not has_credentials(f"https://example.org/a.jpg?{name}=FR-75")
