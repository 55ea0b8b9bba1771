"""A report's page in a real browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from geotag.decoding.previews import make_previews
from geotag.records import Outcome, Status
from geotag.report.page import build_page
from tests.conftest import WritePhoto
from tests.geotag.report.test_report import HOSTILE, ROWS

PATIENCE = 180_000  # milliseconds: a busy machine is no failure


class Shown(NamedTuple):
    """A page, and what went wrong with it."""

    page: Any
    faults: list[str]


def rows_of(photo: Path) -> list[Outcome]:
    tower = ROWS[0]._replace(path=str(photo))
    more = [
        Outcome(
            f"/photos/{number:04}.jpg", Status.HAS_GPS, 40.0 + number / 1000, -100.0,
            position_source="measured", country="United States", camera="Canon <EOS>",
            taken_at=f"2021-{number % 12 + 1:02}-15T08:00:00",
        )
        for number in range(300)
    ]  # fmt: skip
    return [tower, *ROWS[1:], *more]


@pytest.fixture(params=[390, 1280])
def shown(
    browser: Any, request: pytest.FixtureRequest, tmp_path: Path, write_photo: WritePhoto
) -> Iterator[Shown]:
    photo = write_photo("a.jpg", "taj_mahal")
    photo = photo.rename(photo.with_name(HOSTILE))
    rows = rows_of(photo)
    out = tmp_path / "report.html"
    out.write_text(build_page(HOSTILE, rows, list(make_previews((r.path for r in rows), 4000))))
    context = browser.new_context(
        viewport={"width": request.param, "height": 800}, offline=True, reduced_motion="reduce"
    )
    page, faults = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.on("request", lambda one: faults.extend([one.url] * one.url.startswith("http")))
    page.goto(out.as_uri())
    yield Shown(page, faults)
    assert faults == []
    context.close()


def count_shown(page: Any) -> str:
    """How many photos the page says that it shows."""
    text: str = page.locator("#count").text_content()
    return text.split(" of ")[0]
