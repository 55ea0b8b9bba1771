"""geotag completion: lets a shell complete commands, options and their values."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from geotag.cli.streams import tell
from geotag.errors import UsageError

_VARIABLE = "_GEOTAG_COMPLETE"
# Where each shell looks by itself; zsh does once the folder is in its fpath.
_FOLDERS = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/geotag"),
    "zsh": ("ZDOTDIR", "", ".zfunc/_geotag"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/geotag.fish"),
}
# click splits each answer of geotag at all commas, and help and file names hold some.
_FISH_SPLIT = 'string split "," ', 'string split --max 1 "," '
_ZSH = "add this to ~/.zshrc, above compinit: fpath+=({folder})"


@click.command()
@click.argument("shell", type=click.Choice(sorted(_FOLDERS)))
@click.option("--install", is_flag=True, help="Put it where the shell finds it.")
@click.pass_context
def completion(context: click.Context, shell: str, install: bool) -> None:
    """Print what lets a shell (bash, zsh or fish) complete geotag's commands and options."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "geotag", _VARIABLE)
    text = (script.source_template % script.source_vars()).replace(*_FISH_SPLIT)
    if not install:
        click.echo(text)
        return
    path = _path(shell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
    tell(f"{path} written; new shells complete geotag")
    if shell == "zsh":
        tell(_ZSH.format(folder=path.parent))


def _path(shell: str) -> Path:
    variable, default, rest = _FOLDERS[shell]
    base = os.environ.get(variable, "")
    return Path(base if os.path.isabs(base) else Path.home() / default, rest)
