"""Measures how fast geotag is beside its peers and the limits of the machine.

python scripts/benchmark.py scan|metadata|engine|decode|... [options]

Each benchmark makes its own photos, runs what it compares in turn, repeated and paired, and
prints medians with ratios; figures of one machine are no figures of another, ratios nearly are.
"""

from __future__ import annotations

import importlib

import click

NAMES = (
    "catalog",
    "decode",
    "engine",
    "leash",
    "linear",
    "match",
    "metadata",
    "places",
    "report",
    "scale",
    "scan",
    "unattended",
)


class Benchmarks(click.Group):
    """One module a benchmark, imported when it is run."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(NAMES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in NAMES:
            return None
        command: click.Command = importlib.import_module(f"benchmarks.{name}").command
        return command


main = Benchmarks("benchmark", help=__doc__)

if __name__ == "__main__":
    main()
