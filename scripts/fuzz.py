"""Runs a fuzz target: bytes that nobody meant, thrown at what reads files of strangers.

python scripts/fuzz.py headers --seconds 600

With the extra `[fuzz]` atheris finds its way by coverage. Without it the inputs are mutated by
chance: the same for the same seed.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fuzzing.targets import Target

NAMES = ("headers", "xmp", "containers", "tables", "checkpoints", "catalogs")
CORPUS = Path(__file__).resolve().parents[1] / "tests" / "geotag" / "corpus"
_LONGEST = 2**16
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


class Session:
    """The executions of one target: counted, timed, and each kind of finding saved once."""

    def __init__(self, target: Target, findings: Path, executions: int, seconds: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self._target = target
        self._findings = findings
        findings.mkdir(parents=True, exist_ok=True)
        self._last = findings / "last"  # what is left there ended the process
        self._executions = executions
        self._began = time.monotonic()
        self._seconds = seconds

    @property
    def is_over(self) -> bool:
        """Whether all executions are done, or the time is up."""
        done = self._executions and self.outcomes.total() >= self._executions
        return bool(done) or bool(self._seconds and time.monotonic() - self._began >= self._seconds)

    def execute(self, data: bytes) -> None:
        """Run the target once."""
        self._last.write_bytes(data)
        try:
            outcome = self._target.run(data)
        except Exception as error:
            outcome = "finding"
            self._note(error, data)
        self.outcomes[outcome] += 1

    def _note(self, error: Exception, data: bytes) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        self.found[place] += 1
        if self.found[place] > 1:
            return
        path = self._findings / hashlib.sha256(data).hexdigest()[:16]
        path.write_bytes(data)
        click.echo(f"{path}: {place}: {error}", err=True)
        traceback.print_exception(error)

    def report(self, name: str) -> int:
        """Print what came of it; returns the exit code."""
        self._last.unlink(missing_ok=True)
        seconds = time.monotonic() - self._began
        total = self.outcomes.total()
        words = ", ".join(f"{number} {word}" for word, number in self.outcomes.most_common())
        click.echo(f"{name}: {total} executions in {seconds:.0f} s: {words}")
        for place, number in self.found.most_common():
            click.echo(f"  {place}: {number} times")
        return 1 if self.found else 0


def mutated(seeds: list[bytes], words: tuple[bytes, ...], seed: int) -> Iterator[bytes]:
    """The seeds, then changes of them without end: the same ones for the same number."""
    yield from seeds
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 4, 8, 16))):
            _mutate(data, chance, seeds, words)
        yield bytes(data[:_LONGEST])


def _mutate(
    data: bytearray, chance: random.Random, seeds: list[bytes], words: tuple[bytes, ...]
) -> None:
    at = chance.randrange(len(data) + 1)
    length = min(len(data) - at, int(chance.expovariate(0.1)))
    match chance.randrange(8):
        case 0:
            data[at : at + 1] = bytes((chance.randrange(256),))
        case 1 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length]
        case 4:
            size = chance.choice((1, 2, 4))
            number = chance.choice(_NUMBERS) & (256**size - 1)
            data[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
        case 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + chance.randrange(200)]
        case 6 if words:
            word = chance.choice(words)
            data[at : at + chance.choice((0, len(word)))] = word
        case 7:
            del data[at:]


def _loaded(atheris: Any) -> dict[str, Target]:
    """The targets; with atheris all of geotag that they import notes what is reached."""
    watched = atheris.instrument_imports(include=["geotag"]) if atheris else nullcontext()
    with watched:
        targets: dict[str, Target] = importlib.import_module("fuzzing.targets").TARGETS
    return targets


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--seconds", type=click.FloatRange(min=0), default=0, help="Stop after this time.")
@click.option(
    "--executions", type=click.IntRange(min=0), default=0,
    help="Stop after so many [default: 200,000, or when --seconds are up].",
)  # fmt: skip
@click.option("--seed", type=int, default=0, help="Other inputs, where atheris is not installed.")
@click.option(
    "--findings", type=click.Path(path_type=Path), default=Path("runs/fuzz"),
    help="Where inputs that broke something are kept [default: runs/fuzz].",
)  # fmt: skip
def main(name: str, seconds: float, executions: int, seed: int, findings: Path) -> None:
    """Run the fuzz target NAME; exits with 1 when it found something."""
    atheris = importlib.import_module("atheris") if find_spec("atheris") else None
    target = _loaded(atheris)[name]
    saved = sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
    seeds = [*target.seeds(), *(path.read_bytes() for path in saved)]
    executions = executions or (0 if seconds else 200_000)
    session = Session(target, findings / name, executions, seconds)
    if atheris is None:
        for data in mutated(seeds, target.words, seed):
            if session.is_over:
                sys.exit(session.report(name))
            session.execute(data)
    _by_coverage(atheris, session, name, seeds, findings / f"{name}-corpus")


def _by_coverage(
    atheris: Any, session: Session, name: str, seeds: list[bytes], corpus: Path
) -> None:
    """Let atheris choose the inputs; it never returns, so the session's end is the process's."""
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(data)

    def once(data: bytes) -> None:
        if session.is_over:
            code = session.report(name)
            sys.stdout.flush()
            os._exit(code)
        session.execute(data)

    atheris.Setup([sys.argv[0], f"-max_len={_LONGEST}", "-verbosity=0", str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
