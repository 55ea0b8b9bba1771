"""Options from geotag.toml: where such files lie, and how they become a command's defaults."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

from geotag.cli.streams import complain
from geotag.errors import UsageError
from geotag.files.places import settings_folder

NAME = "geotag.toml"
_SIZE_LIMIT = 2**20
_INTEGER_BITS = 64


class Setting(NamedTuple):
    """An option's value as a file gives it, and that file."""

    value: Any
    file: Path


# By the option's parameter name.
Settings = dict[str, Setting]


class SettingsFile(NamedTuple):
    """A parsed file: its tables by the names of commands."""

    path: Path
    tables: Mapping[str, Any]


def places() -> list[Path]:
    """Where files are looked for: what the first one sets counts.

    Never in the folders that are scanned, to which strangers may upload.
    """
    found = [Path(NAME)]
    with suppress(OSError):  # a user without a home has no settings either
        found.append(settings_folder() / NAME)
    return found


def read_files(chosen: Path | None) -> list[SettingsFile]:
    """The file that was named, or those that are there. Raises UsageError."""
    if chosen is not None:
        return [_named(chosen)]
    return [file for path in places() if (file := _found(path)) is not None]


def settings_of(files: Iterable[SettingsFile], words: tuple[str, ...], command: click.Command
) -> Settings:  # fmt: skip
    """What the files set for a command, named by one or two words.

    Raises UsageError for an option that it does not have, or a value that does not fit.
    """
    found: Settings = {}
    for file in files:
        table: Any = file.tables
        for word in words:
            table = table.get(word, {}) if isinstance(table, dict) else table
        place = f"{file.path}: [{'.'.join(words)}]"
        if not isinstance(table, dict):
            raise UsageError(f"{place} is a value; options stand below it, one on a line")
        for key, value in table.items():
            option = _option(command, key, place)
            setting = Setting(_fitting(command, option, value, f"{place} {key}"), file.path)
            found.setdefault(str(option.name), setting)
    return found


def option_name(option: click.Option) -> str:
    """An option as a file names it: its long spelling, without the dashes."""
    return max(option.opts, key=len).removeprefix("--")


def options_of(command: click.Command) -> list[click.Option]:
    """The options that a file can set."""
    return [p for p in command.params if isinstance(p, click.Option)]


def check_words(files: Iterable[SettingsFile], known: Iterable[str]) -> None:
    """Raise UsageError for a table that is not of a command."""
    names = list(known)
    for path, tables in files:
        for word, table in tables.items():
            if word not in names:
                hint = _meant(word, names)
                raise UsageError(f"{path}: [{word[:80]}] is no command of geotag{hint}")
            if not isinstance(table, dict):
                raise UsageError(f"{path}: {word} is a command; write it as [{word}]")


def _found(path: Path) -> SettingsFile | None:
    """A file that is there, and nobody else can have written: options name files to write."""
    try:
        # A FIFO would let the command wait for ever.
        with open(path, "rb", opener=_opener) as file:
            found = os.fstat(file.fileno())
            uid = getattr(os, "geteuid", lambda: found.st_uid)()
            if found.st_uid in (0, uid) and not found.st_mode & stat.S_IWOTH:
                return _parse(path, file)
    except FileNotFoundError:
        return None
    except OSError as error:
        if not os.path.lexists(path):  # of a folder that is closed to us
            return None
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    complain(f"{path}: not read, for other users may have written it; name it with --config")
    return None


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _named(path: Path) -> SettingsFile:
    try:
        with path.open("rb") as file:
            return _parse(path, file)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(path: Path, file: BinaryIO) -> SettingsFile:
    data = file.read(_SIZE_LIMIT + 1) or b""
    if len(data) > _SIZE_LIMIT:
        raise UsageError(f"{path}: larger than {_SIZE_LIMIT >> 20} MiB: not a file of options")
    try:
        return SettingsFile(path, tomllib.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:  # of tomllib, and of UTF-8
        raise UsageError(f"{path}: not valid TOML ({error})") from None


def _option(command: click.Command, key: str, place: str) -> click.Option:
    options = {option_name(option): option for option in options_of(command)}
    if key in options:
        return options[key]
    raise UsageError(f"{place} has no option {key[:80]}{_meant(key, options)}")


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _fitting(command: click.Command, option: click.Option, value: Any, place: str) -> Any:
    """The value as it would come from the command line. Raises UsageError."""
    if option.is_flag:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{place} must be true or false, not {_shown(value)}")
    if option.multiple:
        given = [_text(one, place) for one in (value if isinstance(value, list) else [value])]
    else:
        given = _text(value, place)  # type: ignore[assignment]
    try:
        option.type_cast_value(click.Context(command), given)
    except click.UsageError as error:
        raise UsageError(f"{place}: {error.message}") from None
    return given


def _text(value: Any, place: str) -> str:
    is_endless = isinstance(value, int) and value.bit_length() > _INTEGER_BITS
    if isinstance(value, bool | list | dict) or is_endless:
        raise UsageError(f"{place} must be one text or number, not {_shown(value)}")
    text = os.path.expanduser(value) if isinstance(value, str) else str(value)
    if "\0" in text:  # which no command line can hold either
        raise UsageError(f"{place} must be a text without NUL characters, not {_shown(value)}")
    return text


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
        return "a number of more than 64 bits"
    kinds = {bool: "true or false", list: "a list", dict: "a table"}
    return kinds.get(type(value), repr(value)[:80])
