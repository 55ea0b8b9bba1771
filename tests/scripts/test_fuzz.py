"""What once broke a reader, or might have, ends as it should; fuzz targets have sound seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from scripts.fuzz import NAMES, mutated
from scripts.fuzzing.targets import TARGETS

TOP = Path(__file__).resolve().parents[2]
CORPUS = TOP / "tests" / "geotag" / "corpus"
EXPECTED: dict[str, str] = json.loads((CORPUS / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_corpus_ends_as_it_should(name: str) -> None:
    target = TARGETS[name.partition("/")[0]]
    assert target.run((CORPUS / name).read_bytes()) == EXPECTED[name]


def test_each_file_of_the_corpus_is_expected_to_end_somehow() -> None:
    files = {str(path.relative_to(CORPUS)) for path in CORPUS.glob("*/*")}
    assert files == EXPECTED.keys()
    assert {name.partition("/")[0] for name in files} == set(NAMES) == TARGETS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_sound(name: str) -> None:
    target = TARGETS[name]
    bad = [number for number, seed in enumerate(target.seeds()) if "Error" in target.run(seed)]
    assert not bad


def test_mutations_are_the_same_for_the_same_seed() -> None:
    seeds, words = [b"0123456789" * 20], (b"word",)
    first, again, other = (list(islice(mutated(seeds, words, n), 200)) for n in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) > 150


@pytest.mark.slow
def test_a_run_counts_its_executions(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/fuzz.py", "catalogs", "--executions", "300"]
    done = subprocess.run(
        [*command, "--findings", str(tmp_path)],
        cwd=TOP, env=os.environ | {"PYTHONPATH": str(TOP)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "catalogs: 300 executions" in done.stdout
