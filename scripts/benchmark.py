"""Measures how fast geotag is beside its peers and the limits of the machine.

python scripts/benchmark.py scan|metadata|engine|decode|cascade|... [options]

Each benchmark makes its own photos, runs what it compares in turn, repeated and paired, and
prints medians with ratios; figures of one machine are no figures of another, ratios nearly are.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "benchmarks"


def main(arguments: list[str]) -> None:
    """Run one benchmark by name with its own arguments."""
    names = sorted(p.stem for p in FOLDER.glob("[a-z]*.py") if "def main(" in p.read_text())
    if not arguments or arguments[0] not in names:
        sys.exit(f"{__doc__}\nbenchmarks: {', '.join(names)}")
    importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
