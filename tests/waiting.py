"""Waiting for what a page comes to."""

from __future__ import annotations

from typing import Any

_DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def wait_until(page: Any, expression: str) -> None:
    """Wait until a JavaScript expression holds and the page is drawn. Playwright's own way
    evaluates it within the page, which its content-security policy forbids from the second time
    on."""
    for _ in range(600):
        if page.evaluate(expression):
            page.evaluate(_DRAWN)
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {expression}")
