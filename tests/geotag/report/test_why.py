"""What is said of a photo whose recorded offset is not believed."""

from __future__ import annotations

import pytest

from geotag.records import Outcome, Status
from geotag.report.why import Known, explain_row


@pytest.mark.parametrize(
    ("taken_at", "is_told"),
    [
        ("2022-09-15T19:33:50+00:00", True),
        ("2022-09-15T19:34:50+09:00", False),
        ("2022-09-15T19:33:50", False),
        ("", False),
    ],
)
def test_an_offset_that_is_not_believed(taken_at: str, is_told: bool) -> None:
    row = Outcome("/p.jpg", Status.PLACED, 35.0, 139.0, taken_at=taken_at)
    sentences = " ".join(explain_row(row._replace(utc="2022-09-15T10:33:50Z"), Known()))
    assert ("is not believed" in sentences) is is_told
