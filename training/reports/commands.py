"""What the commands share: options, the one handler of errors, JSON in files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from geotag.errors import GeotagError
from geotag.files.atomic import atomic_file
from training.data.dataset import SCHEMES, SPLITS, Dataset, load_dataset, split

Command = Callable[..., Any]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
DATA = click.option("--data", required=True, type=_FOLDER, help="Training set: a folder.")
OUT = click.option("--out", required=True, type=_FOLDER, help="Folder to write to.")
MODEL = click.option(
    "--model", type=_FILE, help="Model file (.safetensors) instead of the built-in one."
)
EXCLUDE = click.option(
    "--exclude", type=_FILE, help="CSV file of photos to leave out: file, reason."
)


def split_option(default: str) -> Callable[[Command], Command]:
    """--split: one of the splits, or all."""
    return click.option(
        "--split", "part", type=click.Choice([*SPLITS, "all"]), default=default, show_default=True,
        help="Which photos to take.",
    )  # fmt: skip


SPLIT = split_option("val")
SEED = click.option("--seed", default=0, show_default=True, help="Seed of all that is random.")


def data_options(command: Command) -> Command:
    """--data, --exclude, --scheme, --by and --seed, which `read_data` takes."""
    for option in (
        SEED,
        click.option(
            "--by", type=click.Choice(["group", "file"]), default="group", show_default=True,
            help="Keep near-duplicates together, or not, as in the studies.",
        ),
        click.option(
            "--scheme", type=click.Choice(["given", *SCHEMES]), default="given", show_default=True,
            help="The splits as they are, or dealt anew.",
        ),
        EXCLUDE,
        DATA,
    ):  # fmt: skip
        command = option(command)
    return command


def read_data(data: Path, exclude: Path | None, scheme: str, by: str, seed: int) -> Dataset:
    """The training set of `data_options`. Raises DataError."""
    return split(load_dataset(data, exclude), scheme, by, seed)


def run(command: click.Command) -> None:
    """Run a command; a fatal error is one line and its exit code."""
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except GeotagError as error:
        click.echo(f"{command.name}: {error}", err=True)
        sys.exit(error.exit_code)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a report; what has no value (NaN) is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as file:
        file.write(text.encode() + b"\n")


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as JSON has them, rounded to six digits."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
