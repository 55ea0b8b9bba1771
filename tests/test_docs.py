"""The documentation says all that the commands can do, and nothing that they cannot."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import geotag
from geotag.cli import cli
from geotag.engines import ENGINES
from geotag.records import Status
from geotag.runners import RUNNERS
from geotag.stores import SCHEMES
from geotag.tables import MAPS, TABLES
from geotag.tables.base import COLUMNS

TOP = Path(__file__).resolve().parents[1]
PAGES = {path: path.read_text("utf-8") for path in (TOP / "README.md", *TOP.glob("docs/**/*.md"))}
WRITTEN = [*PAGES, *TOP.glob("*.md"), *TOP.glob("geotag/*.md"), *TOP.glob(".github/**/*.md")]
TRAINING = sorted(
    path.stem for path in (TOP / "training").glob("*.py") if "__main__" in path.read_text("utf-8")
)
# Those of geotag itself, before or behind a command.
COMMON = {"--help", "--version", "--debug", "--config"}
# Options of other programs that the pages name on their own.
FOREIGN = {"--build-arg", "--env-file", "--index-url", "--user"}
# Neither is a command: what geotag writes or prints.
QUOTED = {"geotag inferred", "geotag ..."}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


class Command(NamedTuple):
    """What is typed to run a command, and its options, each with all its spellings."""

    words: str
    options: list[set[str]]


def _options(command: click.Command) -> list[set[str]]:
    return [
        {*parameter.opts, *parameter.secondary_opts}
        for parameter in command.params
        if isinstance(parameter, click.Option)
    ]


def _leaves(words: str, command: click.Command) -> Iterator[Command]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _leaves(f"{words} {name}", inner)
    else:
        yield Command(words, _options(command))


def _training_command(name: str) -> Command:
    module = importlib.import_module(f"training.{name}")
    (command,) = (
        value
        for value in vars(module).values()
        if isinstance(value, click.Command) and value.name == f"training.{name}"
    )
    return Command(f"python -m training.{name}", _options(command))


GEOTAG = list(_leaves("geotag", cli))


@pytest.fixture(scope="module")
def commands() -> list[Command]:
    return [*GEOTAG, *(_training_command(name) for name in TRAINING)]


def _long(options: list[set[str]]) -> set[str]:
    return {spelling for spellings in options for spelling in spellings if spelling[:2] == "--"}


def _pages_that_name(words: str) -> str:
    return "\n".join(
        text for text in PAGES.values() if re.search(rf"{re.escape(words)}(?![\w-])", text)
    )


def _undocumented(command: Command) -> list[str]:
    text = _pages_that_name(command.words)
    return [
        min(spellings)
        for spellings in command.options
        if not any(re.search(rf"(?<![\w-]){one}(?![\w-])", text) for one in spellings)
    ]


@pytest.mark.parametrize("command", GEOTAG, ids=lambda command: command.words)
def test_every_command_is_documented_with_its_options(command: Command) -> None:
    assert _pages_that_name(command.words), f"{command.words}: in no page"
    assert not _undocumented(command)


def test_every_training_command_is_documented_with_its_options(commands: list[Command]) -> None:
    assert TRAINING
    for command in commands[len(GEOTAG) :]:
        assert _pages_that_name(command.words), f"{command.words}: in no page"
        assert not _undocumented(command), command.words


def test_every_option_of_a_script_is_documented() -> None:
    pages = "\n".join(PAGES.values())
    for path in (TOP / "scripts").rglob("*.py"):
        for option in re.findall(r'click\.option\(\s*"(--[\w-]+)', path.read_text("utf-8")):
            assert re.search(rf"{option}(?![\w-])", pages), f"{path.name}: {option}"


def _code(text: str) -> Iterator[str]:
    """The lines of code blocks, and the code inside lines of text."""
    for number, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
        if number % 2:
            yield from part.replace("\\\n", " ").splitlines()
        else:
            yield from re.findall(r"`([^`]+)`", part.replace("\n", " "))


def _typed(line: str) -> Iterator[str]:
    """The command lines of geotag, training and scripts inside a line of code."""
    for piece in re.split(r"&&|\||;|#", line):
        words = piece.strip().removeprefix("$ ")
        if re.match(r"(geotag|python -m training\.[a-z]+|python scripts/\w+\.py)\b( |$)", words):
            yield words


def _wrong_words(line: str, commands: list[Command]) -> list[str]:
    """What a documented command line asks for and is not there."""
    if line.startswith("python scripts/"):
        script, *rest = line.removeprefix("python ").split()
        source = (TOP / script).read_text("utf-8")
        if script.endswith("benchmark.py") and rest:
            names = (f"{rest[0]}.py", "options.py")
            folder = TOP / "scripts" / "benchmarks"
            source = "".join((folder / name).read_text("utf-8") for name in names)
        return [option for option in OPTION.findall(line) if f'"{option}' not in source]
    known = set(COMMON)
    line = re.sub(r"^geotag (--debug|--config \S+)", "geotag", line)
    if line in ("geotag", "geotag --help", "geotag --version", *QUOTED):
        return []
    found = [command for command in commands if f"{line} ".startswith(f"{command.words} ")]
    if not found:
        groups = {command.words.rsplit(" ", 1)[0] for command in commands}
        return [] if line in groups else [line]
    known |= _long(found[0].options)
    return [option for option in OPTION.findall(line) if option not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_documented_command_and_option_exists(page: Path, commands: list[Command]) -> None:
    options = COMMON.union(*(_long(command.options) for command in commands))
    for path in (TOP / "scripts").rglob("*.py"):
        options.update(OPTION.findall(path.read_text("utf-8")))
    for code in _code(PAGES[page]):
        for line in _typed(code):
            assert not _wrong_words(line, commands), f"{page.name}: {line}"
        if code.startswith("--"):
            option = OPTION.match(code)
            assert option is not None, code
            assert option[0] in options | FOREIGN, code


def _undescribed(names: Iterable[str], page: str) -> list[str]:
    text = PAGES[TOP / "docs" / page]
    return [name for name in names if f"`{name}`" not in text]


def test_every_column_status_and_table_format_is_described() -> None:
    assert not _undescribed(COLUMNS, "table.md")
    assert not _undescribed((status.value for status in Status), "table.md")
    assert not _undescribed((*TABLES, *MAPS), "table.md")


def test_every_kind_of_address_is_described_with_its_extra() -> None:
    buckets = PAGES[TOP / "docs" / "buckets.md"]
    for name, scheme in SCHEMES.items():
        if scheme.store is not None and name not in ("memory", "http"):
            assert f"`{name}://" in buckets
            assert f".[{scheme.extra}]" in buckets


def test_every_engine_and_runner_is_described() -> None:
    assert not _undescribed((*ENGINES, *RUNNERS), "table.md")


def test_every_parameter_of_a_scan_in_python_is_described() -> None:
    assert not _undescribed(signature(geotag.scan).parameters, "python.md")


def test_the_architecture_page_lists_the_rooms_that_are_there() -> None:
    tree = PAGES[TOP / "docs" / "architecture.md"].split("```")[1]
    listed = set(re.findall(r"^ *([a-z_]+(?:/|\.py))(?: |$)", tree, flags=re.MULTILINE))
    packages = {path.parent for top in ("geotag", "training") for path in _modules(top)}
    modules = {path.name for path in (TOP / "geotag").glob("[a-z]*.py")}
    assert listed == {f"{path.name}/" for path in packages} | modules | {"scripts/", "tests/"}


def _modules(top: str) -> Iterator[Path]:
    return (TOP / top).rglob("*.py")


def _anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", sorted(set(WRITTEN)), ids=lambda page: str(page.relative_to(TOP)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in _anchors(target.read_text("utf-8")), f"{page.name}: {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = PAGES[TOP / "README.md"]
    for page in TOP.glob("docs/*.md"):
        assert f"(docs/{page.name})" in readme


def test_the_readme_is_short() -> None:
    assert len(PAGES[TOP / "README.md"].splitlines()) <= 130
