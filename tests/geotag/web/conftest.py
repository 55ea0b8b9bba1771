"""A served page in a real browser, and what its tests do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from geotag.decoding.isolated import IsolatedDecoder
from geotag.evidence import build_decider
from geotag.model.checkpoint import read_header
from geotag.options import ScanOptions
from geotag.recognition.predictor import Predictor
from geotag.web import create_app

PATIENCE = 180_000  # milliseconds: a busy machine is no failure


class Site(NamedTuple):
    """A served page that can go away and come back at its address."""

    address: str
    stop: Callable[[], None]
    start: Callable[[], None]
    may_answer: threading.Event


@pytest.fixture
def site(model_path: Path) -> Iterator[Site]:
    pytest.importorskip("flask")
    pytest.importorskip("waitress")
    from geotag.web.server import build_server

    decoder = IsolatedDecoder()
    decider = build_decider(read_header(model_path), ScanOptions())
    predictor = Predictor(model_path, decoder=decoder)
    app = create_app(predictor, decider, {"localhost"}, decoder)
    may_answer = threading.Event()
    may_answer.set()

    @app.before_request
    def wait() -> None:
        from flask import request

        if request.path == "/api/scan":
            may_answer.wait(30)

    servers: list[Any] = []

    def start() -> None:
        port = servers[-1].effective_port if servers else 0
        servers.append(build_server(app, "127.0.0.1", port))
        threading.Thread(target=servers[-1].run, daemon=True).start()

    def stop() -> None:
        server = servers[-1]
        for channel in list(server._map.values()):
            channel.close()
        server.task_dispatcher.shutdown(timeout=1)

    start()
    yield Site(f"http://localhost:{servers[0].effective_port}/", stop, start, may_answer)
    may_answer.set()
    stop()
    decoder.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened, faults = context.new_page(), []
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda one: faults.extend([one.message] * (one.type != "beforeunload")))
    elsewhere = lambda one: not one.url.startswith((site.address, "blob:"))  # noqa: E731
    opened.on("request", lambda one: faults.extend([one.url] * elsewhere(one)))
    opened.goto(site.address)
    opened.wait_for_selector("body.ready")
    yield opened
    assert faults == []
    context.close()


def expect(found: Any) -> Any:
    """Playwright's, with patience."""
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=PATIENCE)
    return playwright.expect(found)


def titled(page: Any, *expected: str) -> None:
    """Wait until the photos have these headlines."""
    expect(page.locator(".photo h3")).to_have_text(list(expected))


def counted(page: Any, text: str) -> None:
    """Wait until the page counts so."""
    expect(page.locator("#count")).to_have_text(text)
