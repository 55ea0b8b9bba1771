"""Options that several commands share, as decorators; their limits stand in geotag.options."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from geotag.engines.base import EngineOptions
from geotag.errors import UsageError
from geotag.model.spec import PRECISION
from geotag.options import CHOICES, LIMITS, check
from geotag.places.private import Zone, parse_zone, parse_zones
from geotag.state.database import SUFFIX

Command = Callable[..., Any]

SOME_FAILED = 3  # the exit code of a command that finished with photos it could not do

_ZONES_LIMIT = 1_000_000  # bytes of a file of private zones
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class _Place(click.types.StringParamType):
    """A file or folder, which a shell completes, or an address elsewhere."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


PLACE = _Place()


def bundle(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, listed in this order by --help."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def number(*names: str, **more: Any) -> Callable[[Command], Command]:
    """An option that takes a number within the limits of its name, which is the last one."""
    least, most, is_whole = LIMITS[names[-1].removeprefix("--").replace("-", "_")]
    kind = click.IntRange if is_whole else click.FloatRange
    return click.option(*names, type=kind(least, most), **more)


def choice(name: str, **more: Any) -> Callable[[Command], Command]:
    """An option that takes one of the choices of its name."""
    choices = CHOICES[name.removeprefix("--")]
    return click.option(name, type=click.Choice(choices), **{"show_default": True, **more})


def parse_duration(text: str) -> float:
    """A time such as 90, 90s, 30m or 6h, in seconds. Raises a usage error for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m or 6h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_clock_offset(text: str) -> tuple[str, float]:
    """A camera and how far its clock was ahead, as in "Canon EOS 80D=-1h02m30s", in seconds.

    Raises a usage error for anything else.
    """
    camera, _, offset = text.rpartition("=")
    match = re.fullmatch(r"([+-]?)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", offset.strip())
    if match is None or not camera.strip() or not any(match.groups()[1:]):
        raise click.BadParameter(f"{text!r} is not CAMERA=OFFSET, such as 'Canon EOS 80D=-1h02m'")
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
    total = float(hours * 3600 + minutes * 60 + seconds)
    return camera.strip(), -total if match[1] == "-" else total


def _parse_private(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[Zone, ...]:
    """Zones as they are given, and those of the files that are named. Raises UsageError."""
    return tuple(zone for text in texts for zone in _zones(text))


def _zones(text: str) -> tuple[Zone, ...]:
    if not text.startswith("@"):
        return (parse_zone(text),)
    path = os.path.expanduser(text[1:])  # which no shell does behind an @
    try:
        with open(path, "rb") as file:
            data = file.read(_ZONES_LIMIT + 1)
        if len(data) > _ZONES_LIMIT:
            raise UsageError("too large for a list of private zones")
        return parse_zones(data.decode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


private_option = click.option(
    "--private",
    multiple=True,
    callback=_parse_private,
    metavar="LAT,LON,RADIUS|@FILE",
    help="Leave out where photos in this circle were taken (radius in metres); @FILE lists "
    "circles, one on a line. Repeatable.",
)
model_option = click.option(
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Model file to use instead of the built-in one.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object on a line."
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="Print errors only: no progress, no summary."
)


def catalog_option(what: str) -> Callable[[Command], Command]:
    """--catalog, of a table whose catalog is not beside it."""
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("--catalog", type=kind, help=f"{what} [default: TABLE{SUFFIX}].")


def catalog_of(table: Path | str, catalog: Path | None) -> Path:
    """The catalog that was named, or the one beside a table."""
    return catalog or Path(str(table).rstrip("/") + SUFFIX)


journal_option = click.option(
    "--catalog",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The catalog that keeps the journal [default: all that you wrote from].",
)
top_k_option = number(
    "--top-k",
    default=5,
    show_default=True,
    help="How many of the most likely landmarks to list.",
)
min_precision_option = number(
    "--min-precision",
    default=PRECISION,
    show_default=True,
    help="Tag so that at least this share of the tags is right.",
)
writing_options = bundle(
    click.option("--gps", is_flag=True, help="Also write the landmark's position as the photo's."),
    click.option("--sidecar", is_flag=True, help="Write XMP sidecars only, never into the photos."),
)


def engine_options(command: Command) -> Command:
    @bundle(
        choice(
            "--engine",
            default="auto",
            help="What runs the network; auto takes the fastest that is installed.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="cpu, cuda, cuda:1 or mps; auto takes a GPU where there is one.",
        ),
        choice("--dtype", default="auto", help="Number type of the network."),
        number("--batch-size", help="Photos in a batch [default: what suits the engine]."),
    )
    @functools.wraps(command)
    def gathered(
        engine: str, device: str, dtype: str, batch_size: int | None, **others: Any
    ) -> Any:
        check(device=device)
        return command(engine=EngineOptions(engine, device, dtype, batch_size), **others)

    return gathered
