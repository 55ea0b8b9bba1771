"""What commands say of photos, fit for a terminal: a name may hold anything."""

from __future__ import annotations

import click


def one_line(text: str) -> str:
    """The text with what does not print, such as line ends and terminal codes, as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def complain(message: str) -> None:
    """Say on standard error what is wrong with a photo."""
    click.echo(f"geotag: {one_line(message)}", err=True)


def counted(count: int, thing: str) -> str:
    """How many there are: 1 photo, 2 photos."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
