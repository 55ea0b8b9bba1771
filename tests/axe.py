"""What axe-core finds in a page that is open in a browser."""

from __future__ import annotations

from typing import Any

import pytest

axe = pytest.importorskip("axe_playwright_python.sync_playwright")


def serious_faults(page: Any) -> list[str]:
    """The faults of the page as it is now that keep people out of it, one a line."""
    return [
        f"{found['id']}: {node['target']}: {found['help']}"
        for found in axe.Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]
