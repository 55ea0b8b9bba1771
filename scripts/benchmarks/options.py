"""The options that benchmarks share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

_PATH = click.Path(path_type=Path)
MODEL = click.option("--model", type=_PATH, help="Model file [built-in].")
LIBRARY = click.option(
    "--library", type=_PATH, default=Path(tempfile.gettempdir(), "geotag-benchmark"),
    show_default=True, help="Where to keep the photos.",
)  # fmt: skip
PICTURES = click.option("--pictures", type=_PATH, help="Folder of scenes to use.")
LANDMARKS = click.option("--landmarks", type=_PATH, help="Pictures of landmarks: 5 %.")
OTHERS = click.option("--others", type=_PATH, help="Pictures of anything else.")
PEERS = click.option(
    "--peers/--no-peers", default=True, help="Run what geotag is compared with, too."
)
JSON = click.option("--json", "out", type=_PATH, help="Write the figures here.")


def distinct(default: int) -> Callable[[Command], Command]:
    """--distinct: how many photos are made; the others are copies with other Exif."""
    return click.option(
        "--distinct", default=default, show_default=True, help="How many differ in their pixels."
    )


def sized(count: int, repeats: int, share: int, few: int) -> Callable[[Command], Command]:
    """--count, --repeats and --quick: a `share` of the photos, with `few` repeats."""

    def wrap(command: Command) -> Command:
        @click.option("--count", default=count, show_default=True, help="Photos.")
        @click.option("--repeats", default=repeats, show_default=True)
        @click.option("--quick", is_flag=True, help=f"1/{share} of the photos; {few} repeats.")
        @wraps(command)
        def run(count: int, repeats: int, quick: bool, **others: Any) -> None:
            if quick:
                count, repeats = count // share, few
            command(count=count, repeats=repeats, **others)

        return run

    return wrap
