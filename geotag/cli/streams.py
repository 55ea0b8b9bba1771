"""Standard streams that are closed, full or of another encoding, and what is printed to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

_NAMED = 3


def open_streams() -> None:
    """Give a process that was started with closed streams some, and let any character be printed.

    The next file that is opened would take the number of a closed stream, and what a library
    prints there would end up in it. What is meant for a closed standard output cannot be written.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            access = os.O_WRONLY if name == "stderr" else os.O_RDONLY
            stream = open(os.open(os.devnull, access), mode)  # noqa: SIM115 (never closed)
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # one that a test or a notebook has put there
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def close_streams() -> bool:
    """Flush standard output; False when it cannot be. Nothing is left to flush at the exit."""
    is_written = True
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            is_written = is_written and number == 2
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return is_written


def tell(message: str) -> None:
    """Print a message on standard error. Where nobody can read it, the work goes on.

    Colours are left out where it is no terminal, and with NO_COLOR (no-color.org).
    """
    with suppress(OSError):
        click.echo(message, err=True, color=False if os.environ.get("NO_COLOR") else None)


def is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def one_line(text: str) -> str:
    """The text with what does not print, such as line ends and terminal codes, as escapes.

    Names of files are UTF-8 in every locale.
    """
    with suppress(UnicodeEncodeError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def complain(message: str) -> None:
    """Print on standard error, on one line, what is wrong."""
    tell(f"{click.style('geotag:', fg='red', bold=True)} {one_line(message)}")


@contextmanager
def complaints() -> Iterator[Callable[[str, str], None]]:
    """Complains of files, by path and reason.

    The first one of a reason is told at once, the others of the same reason in one line at the end.
    """
    others: dict[str, list[str]] = {}

    def add(path: str, reason: str) -> None:
        if reason in others:
            others[reason].append(path)
        else:
            others[reason] = []
            complain(f"{path}: {reason}")

    try:
        yield add
    finally:
        for reason, paths in others.items():
            if len(paths) > 1:
                named = ", ".join(paths[:_NAMED]) + (", ..." if len(paths) > _NAMED else "")
                complain(f"{len(paths):,} other files: {reason}: {named}")
            elif paths:
                complain(f"{paths[0]}: {reason}")
