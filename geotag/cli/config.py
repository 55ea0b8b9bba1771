"""geotag config: lists every option with the value that a file sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from geotag.cli.settings import (
    Settings,
    SettingsFile,
    check_words,
    option_name,
    options_of,
    places,
    settings_of,
)
from geotag.cli.streams import one_line


@click.command()
@click.pass_context
def config(context: click.Context) -> None:
    """List every option of every command, as a geotag.toml file holds them.

    What a file sets stands as it is, with that file's name; the rest is commented out, with its
    default. Copy lines from here into a file of your own.
    """
    files: list[SettingsFile] = context.obj
    group = context.find_root().command
    assert isinstance(group, click.Group)
    check_words(files, group.list_commands(context))
    read = {file.path for file in files}
    for path in dict.fromkeys((*read, *places())):
        click.echo(one_line(f"# {path}: {'read' if path in read else 'not there'}"))
    for words, command in _commands(group, context, ()):
        if words != ("config",) and options_of(command):
            click.echo(f"\n[{'.'.join(words)}]")
            for line in _lines(command, settings_of(files, words, command)):
                click.echo(one_line(line))


def _commands(
    group: click.Group, context: click.Context, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, context, (*above, name))
        elif command is not None:
            yield (*above, name), command


def _lines(command: click.Command, settings: Settings) -> Iterator[str]:
    for option in options_of(command):
        name, setting = option_name(option), settings.get(str(option.name))
        if setting is not None:
            yield f"{name} = {_toml(setting.value)}  # {setting.file}"
        else:
            yield f"# {name} = {_default(option)}  # {option.help}"


def _default(option: click.Option) -> str:
    """The default, or nothing where the option has none."""
    if option.is_flag:
        return _toml(option.default is True)
    if option.multiple:
        return "[]"
    default = option.default
    return _toml(default) if isinstance(default, str | int | float) else ""


def _toml(value: Any) -> str:
    """JSON's texts, numbers, lists and words are TOML's too, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
