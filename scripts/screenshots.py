"""Draws the pages of report, review and serve in a real browser, at a phone's and a desk's width.

python scripts/screenshots.py TABLE OUT

Makes OUT/report-390-light.png and the like, the manual's pictures OUT/manual-report.png and
OUT/manual-serve.png (of the library that example_library.py draws), and prints what went wrong in a
page. With --axe FILE
(axe.min.js of the npm package axe-core) it also prints what axe-core finds. Needs Playwright and
Chromium.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import sync_playwright

SIZES = ((390, 844), (1280, 900))
SCHEMES = ("light", "dark")
RULES = "axe.run({resultTypes: ['violations']})"


@click.command(help=__doc__)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--axe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(table: Path, out: Path, axe: Path | None) -> None:
    """One browser for all pictures."""
    out.mkdir(parents=True, exist_ok=True)
    report = out / "report.html"
    _run("report", table, "--out", report)
    checks = axe.read_text("utf-8") if axe else ""
    with sync_playwright() as running, _running("serve", "--port", _free_port()) as site:
        arguments = ["--no-sandbox", "--disable-gpu"]
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = running.chromium.launch(executable_path=chromium, args=arguments)
        for size in SIZES:
            for scheme in SCHEMES:
                name = f"{size[0]}-{scheme}"
                with _page(browser, size, scheme) as page:
                    page.goto(report.absolute().as_uri())
                    _look(page, out / f"report-{name}.png", checks, whole=True)
                    page.locator(".card").first.click()
                    _look(page, out / f"report-details-{name}.png", checks)
                review = _running("review", table, "--port", 0, "--all")
                with _page(browser, size, scheme) as page, review as address:
                    page.goto(address)
                    page.locator("#picture").wait_for(state="visible", timeout=60_000)
                    _look(page, out / f"review-{name}.png", checks, whole=True)
                    page.keyboard.press("c")
                    page.keyboard.type("Paris")
                    page.locator("#found li").first.wait_for(timeout=60_000)
                    _look(page, out / f"review-change-{name}.png", checks, whole=True)
                    page.keyboard.press("Escape")
                    page.keyboard.press("?")
                    _look(page, out / f"review-help-{name}.png", checks)
                with _page(browser, size, scheme) as page:
                    page.goto(site)
                    _draw_serve(page, out, name, checks)
        _draw_manual(browser, report, site, out)
        browser.close()


def _draw_manual(browser: Any, report: Path, site: str, out: Path) -> None:
    with _page(browser, (1100, 1480), "light") as page:
        page.goto(report.absolute().as_uri())
        _look(page, out / "manual-report.png", "")
    with _page(browser, (1100, 760), "light") as page:
        page.goto(site)
        page.locator("body.ready").wait_for(timeout=60_000)
        page.click("#example")
        page.locator(".why").click(timeout=60_000)
        page.locator(".pictures").wait_for(timeout=120_000)
        page.evaluate("scrollTo(0, 0)")
        _look(page, out / "manual-serve.png", "")


def _draw_serve(page: Any, out: Path, name: str, checks: str) -> None:
    page.locator("body.ready").wait_for(timeout=60_000)
    _look(page, out / f"serve-{name}.png", checks, whole=True)
    page.click("#know")
    _look(page, out / f"serve-knows-{name}.png", checks)
    page.keyboard.press("Escape")
    page.click("#example")
    page.locator(".why").click(timeout=60_000)
    page.locator(".pictures").wait_for(timeout=120_000)
    _look(page, out / f"serve-why-{name}.png", checks, whole=True)


@contextmanager
def _running(*arguments: object) -> Iterator[str]:
    """A server's address: the first word that it prints."""
    command = [sys.executable, "-m", "geotag", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def _page(browser: Any, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        reduced_motion="reduce",
        bypass_csp=True,  # for axe-core alone: the pages' policy lets no other script in
    )
    page = context.new_page()
    page.on("pageerror", lambda error: click.echo(f"error: {error}"))
    page.on("console", lambda message: click.echo(f"console: {message.text}"))
    yield page
    context.close()


def _look(page: Any, path: Path, checks: str, whole: bool = False) -> None:
    page.wait_for_timeout(500)  # for the map to be drawn
    page.screenshot(path=path, full_page=whole)
    click.echo(path)
    if not checks:
        return
    page.evaluate(checks)
    for found in page.evaluate(RULES)["violations"]:
        where = [node["target"] for node in found["nodes"][:3]]
        click.echo(f"  {found['impact']}: {found['id']}: {found['help']}: {json.dumps(where)}")


def _run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "geotag", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
