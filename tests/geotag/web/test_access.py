"""The token of a served page, and the addresses that are printed."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from geotag.web.access import addresses, is_local, new_token, require_token
from geotag.web.guard import guard

flask = pytest.importorskip("flask")
TOKEN = "0123456789abcdef"


@pytest.fixture
def client() -> flask.testing.FlaskClient:
    app = flask.Flask("geotag.web")
    guard(app, {"localhost"}, "")
    require_token(app, TOKEN)
    app.add_url_rule("/", "page", lambda: "the page")
    app.add_url_rule("/api", "api", lambda: {"done": True}, methods=["POST"])
    return app.test_client()


def test_without_the_token_nothing_is_answered(client: flask.testing.FlaskClient) -> None:
    for path in ("/", "/?token=", "/?token=wrong", f"/?other={TOKEN}", "/?token=\N{SNOWMAN}"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert b"asks for a token" in answer.data and b"the page" not in answer.data
        assert TOKEN.encode() not in answer.data
    answer = client.post(f"/api?token={TOKEN}")
    assert answer.status_code == 401 and "token" in answer.json["error"]
    for name in ("ask.js", "ask.css", "icon.svg"):
        assert client.get(f"/static/{name}").status_code == 200


def test_who_comes_with_the_token_is_remembered(client: flask.testing.FlaskClient) -> None:
    answer = client.get(f"/?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["Location"] == "/"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert client.get("/").data == b"the page"
    assert client.post("/api").json == {"done": True}
    # A page at another port of the same machine has another token.
    assert client.get("/", headers={"Host": "localhost:8322"}).status_code == 401


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example", "/\\evil.example"])
def test_the_way_in_leads_to_no_other_server(client: flask.testing.FlaskClient, path: str) -> None:
    answer = client.get(f"/?token={TOKEN}", environ_overrides={"PATH_INFO": path})
    assert answer.status_code == 303
    assert answer.headers["Location"] in ("/evil.example/", "/evil.example", "/%5Cevil.example")


def test_tokens_are_new_each_time() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(len(new_token()) == 16 for _ in range(100))


def test_addresses_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert addresses("127.0.0.1", 8321) == ["http://127.0.0.1:8321/"]
    assert addresses("::1", 8321, "ab") == ["http://[::1]:8321/?token=ab"]
    for address in addresses("0.0.0.0", 8321, "ab"):
        assert urlsplit(address).hostname != "0.0.0.0" and address.endswith(":8321/?token=ab")

    def no_network(*arguments: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert addresses("0.0.0.0", 8321) == ["http://127.0.0.1:8321/"]


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, answer: bool) -> None:
    assert is_local(host) is answer
