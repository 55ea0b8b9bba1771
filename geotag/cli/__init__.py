"""The command line: one module a command; only here are click, tqdm and exit codes."""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from geotag import __version__
from geotag.cli.logs import start_logging
from geotag.cli.settings import SettingsFile, check_words, read_files, settings_of
from geotag.cli.signals import EndedError, ended_by_signals
from geotag.cli.streams import close_streams, complain, open_streams, tell
from geotag.errors import GeotagError

# A command's module is imported only when it runs, so that `geotag --help` is instant.
COMMANDS = {
    "scan": ("geotag.cli.scan:scan", "Tag photos with places, into a table."),
    "report": ("geotag.cli.report:report", "Show a table as one HTML file."),
    "review": ("geotag.cli.review:review", "Decide on doubtful guesses on a web page."),
    "write": ("geotag.cli.write:write", "Write a table's tags into the photos."),
    "revert": ("geotag.cli.revert:revert", "Undo a write: bring back the very same bytes."),
    "runs": ("geotag.cli.runs:runs", "List the runs of write."),
    "why": ("geotag.cli.why:why", "Say in sentences why a photo's row says what it says."),
    "clocks": ("geotag.cli.clocks:clocks", "List how far cameras' clocks were from UTC."),
    "convert": ("geotag.cli.convert:convert", "Write a table in another format, also for maps."),
    "merge": ("geotag.cli.merge:merge", "Merge the parts that scans of shards wrote."),
    "predict": ("geotag.cli.predict:predict", "Show the most likely landmarks of photos."),
    "explain": ("geotag.cli.explain:explain", "Draw which parts of a photo speak for its tag."),
    "serve": ("geotag.cli.serve:serve", "Serve a web page for single photos."),
    "categories": ("geotag.cli.categories:categories", "List what geotag can recognise."),
    "landmarks": ("geotag.cli.landmarks:landmarks", "Add landmarks of your own to a model."),
    "model": ("geotag.cli.model:model", "Show what a model file holds."),
    "config": ("geotag.cli.config:config", "List all options, and what geotag.toml sets."),
    "completion": ("geotag.cli.completion:completion", "Let a shell complete geotag's commands."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; for one that is mistyped, name the one that may be meant."""
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not close:
                raise
            meant = f"No such command {args[0]!r}. Did you mean {close[0]!r}?"
            raise click.UsageError(meant, error.ctx) from None

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
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
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="GEOTAG_CONFIG",
    help="File of options [default: geotag.toml here, then in your settings folder].",
)
@click.option("--debug", is_flag=True, help="Show the traceback of a fatal error.")
@click.pass_context
def cli(context: click.Context, config: Path | None, debug: bool) -> None:
    """Tag photo libraries with places.

    geotag keeps the positions that cameras measured and recognises landmarks in the other photos.
    It never changes a photo unless you ask it to.
    """
    start_logging()
    context.obj = read_files(config)
    name = context.invoked_subcommand
    command = cli.get_command(context, name) if name and context.obj else None
    if command is not None:
        check_words(context.obj, COMMANDS)
        context.default_map = {str(name): _defaults(context.obj, (str(name),), command)}


def _defaults(
    files: list[SettingsFile], words: tuple[str, ...], command: click.Command
) -> dict[str, Any]:
    """What the files set, as click takes it."""
    if isinstance(command, click.Group):
        return {n: _defaults(files, (*words, n), c) for n, c in command.commands.items()}
    return {n: setting.value for n, setting in settings_of(files, words, command).items()}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a fatal error is one line and its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_streams()
    with ended_by_signals():
        code = _run(arguments)
    sys.exit(code if close_streams() else code or 1)


def _run(arguments: list[str]) -> int:
    try:
        result: Any = cli.main(arguments, "geotag", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        tell(_usage(error))
        return error.exit_code
    except BaseException as error:
        if "--debug" in arguments and not isinstance(error, SystemExit):
            raise
        code, message = _failure(error)
        if message:
            complain(message)
        return code


def _usage(error: click.ClickException) -> str:
    """What click says of a wrong call: how to get help, and what is wrong."""
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip()


_NO_MEMORY = "out of memory; use fewer --workers or a smaller --batch-size"


def _failure(error: BaseException) -> tuple[int, str]:
    """The exit code and the line for an error that ends the command."""
    match error:
        case GeotagError():
            return error.exit_code, str(error)
        case EndedError(number=number) | click.Abort(__cause__=EndedError(number=number)):
            return 128 + number, f"ended by {signal.Signals(number).name}"
        case click.Abort(__cause__=EOFError() as cause):
            error = cause
        case click.Abort() | KeyboardInterrupt():
            return 128 + signal.SIGINT, "interrupted"
        case BrokenPipeError() | SystemExit():  # which click makes of it
            return 128 + signal.SIGPIPE, ""
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EBADF):
            what = error.filename or "standard output"
            return 1, f"{what}: cannot be written ({error.strerror})"
        case FileNotFoundError() if "temporary directory" in str(error):
            return 1, "no folder for temporary files can be written: set TMPDIR to one that can"
        case FileNotFoundError(filename=None) if error.errno == errno.ENOENT:  # of os.getcwd
            return 1, "the folder that this was started in is gone: change into one that is there"
        case MemoryError():
            return 1, _NO_MEMORY
        case ImportError() if "failed to map segment" in str(error):  # of a library
            return 1, _NO_MEMORY
        case RuntimeError() if "can't start new thread" in str(error):
            return 1, (
                "no more threads can be started: use fewer --workers, or allow this user more "
                "processes (ulimit -u, or TasksMax= of the systemd unit)"
            )
        case OSError(filename=str() | bytes() | os.PathLike() as name, strerror=str() as why):
            return 1, f"{os.fsdecode(name)}: {why}"
    return 1, (
        f"an error in geotag itself ({type(error).__name__}: {error}); run it again with "
        "`geotag --debug ...` and report what it prints"
    )
