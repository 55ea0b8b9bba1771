"""What several commands share: options, as decorators, and an exit code."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from geotag.engines import ENGINES

Command = Callable[..., Any]

SOME_FAILED = 3  # the exit code of a command that finished with photos it could not do

MODEL = click.option(
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Model file to use instead of the built-in one.",
)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
TOP_K_HELP = "How many of the most likely landmarks to list."


def engine_options(command: Command) -> Command:
    """--engine, --device, --dtype and --batch-size."""
    for option in (
        click.option(
            "--batch-size",
            type=click.IntRange(1, 1024),
            help="Photos the network sees at once [default: what suits the engine].",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
            default="auto",
            show_default=True,
            help="Number type of the network.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.",
        ),
        click.option(
            "--engine",
            type=click.Choice(["auto", *ENGINES]),
            default="auto",
            show_default=True,
            help="What runs the network; auto takes the fastest that is installed.",
        ),
    ):
        command = option(command)
    return command


def parse_duration(text: str) -> float:
    """A time such as 90, 90s, 30m or 6h, in seconds. Raises a usage error for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time such as 90s, 30m or 6h")
    return float(match[1]) * _SECONDS[match[2]]
