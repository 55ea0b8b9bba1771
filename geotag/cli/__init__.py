"""The command line: one module a command; only here are click, tqdm and exit codes."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click

from geotag import __version__
from geotag.errors import GeotagError

# A command's module is imported only when it runs, so that `geotag --help` is instant.
COMMANDS = {
    "scan": ("geotag.cli.scan:scan", "Tag photos with places, into a table."),
    "write": ("geotag.cli.write:write", "Write a table's tags into the photos."),
    "revert": ("geotag.cli.revert:revert", "Undo a write: bring back the very same bytes."),
    "runs": ("geotag.cli.runs:runs", "List the runs of write."),
    "predict": ("geotag.cli.predict:predict", "Show the most likely landmarks of photos."),
    "explain": ("geotag.cli.explain:explain", "Draw which parts of a photo speak for its tag."),
    "serve": ("geotag.cli.serve:serve", "Serve a web page for single photos."),
    "categories": ("geotag.cli.categories:categories", "List what geotag can recognise."),
    "landmarks": ("geotag.cli.landmarks:landmarks", "Add landmarks of your own to a model."),
    "model": ("geotag.cli.model:model", "Show what a model file holds."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands, in the order of their table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their short help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[1]) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="geotag", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a fatal error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Tag photo libraries with places.

    geotag keeps the positions that cameras measured and recognises landmarks in the other photos.
    It never changes a photo unless you ask it to.
    """
    context.ensure_object(dict)["debug"] = debug


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a fatal error is one line and its exit code."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_run(arguments))
    except GeotagError as error:
        if debug:
            raise
        click.echo(f"geotag: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"geotag: a fault in geotag itself ({type(error).__name__}: {error}); "
            "run it again with `geotag --debug ...` and report what it prints",
            err=True,
        )
        sys.exit(1)


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = cli.main(arguments, "geotag", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("geotag: interrupted", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        what = error.filename or "standard output"
        raise GeotagError(f"{what}: cannot be written ({error.strerror})") from error
    return result if isinstance(result, int) else 0
