"""Writes man pages of geotag and its commands, from their help.

python scripts/make_man.py ~/.local/share/man/man1

Needs click-man, which the extra [test] brings.
"""

from __future__ import annotations

from pathlib import Path

import click
from click_man.core import write_man_pages

from geotag import __version__
from geotag.cli import COMMANDS, cli


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """One page for each command; the same version gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, short_help) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.short_help = short_help
        cli.add_command(command, name)
    write_man_pages("geotag", cli, version=__version__, target_dir=folder, date=__version__)
    click.echo(f"{len(list(folder.glob('geotag*.1')))} pages in {folder}", err=True)


if __name__ == "__main__":
    main()
