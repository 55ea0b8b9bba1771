"""A scan that is killed anywhere and taken up again comes to the same table."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WritePhoto

DRIVER = Path(__file__).with_name("kill_driver.py")


def drive(library: Path, table: Path | str, model: Path, last: int) -> int | None:
    """The number of steps of a scan that came to its end, None for one that was killed."""
    command = [sys.executable, DRIVER, library, table, model, str(last)]
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        command,
        capture_output=True,
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)


@pytest.mark.slow
def test_killed_at_any_step_and_taken_up_again_the_table_is_the_same(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    whole = tmp_path / "whole" / "tags.csv"
    whole.parent.mkdir()
    steps = drive(library, whole, model_path, 0)
    assert steps is not None and steps > 100
    rng = random.Random(0)
    for number, last in enumerate(sorted(rng.sample(range(1, steps), 8))):
        table = tmp_path / str(number) / "tags.csv"
        table.parent.mkdir()
        assert drive(library, table, model_path, last) is None
        for left in table.parent.glob(".*.tmp"):
            os.utime(left, (0, 0))  # one of this very second might be somebody's
        assert drive(library, table, model_path, 0) is not None
        assert table.read_bytes() == whole.read_bytes(), f"killed at step {last}"
        assert sorted(os.listdir(table.parent)) == ["tags.csv", "tags.csv.geotag"]


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_its_end(
    library: Path, tmp_path: Path, model_path: Path, write_photo: WritePhoto
) -> None:
    for number, colour in enumerate(("eiffel_tower", "taj_mahal", "stonehenge", "")):
        write_photo(f"{number}/{colour}.jpg", colour)
    whole, table = tmp_path / "whole.csv", tmp_path / "tags.csv"
    steps = drive(library, whole, model_path, 0)
    assert steps is not None
    rng = random.Random(1)
    kills = 0
    while drive(library, table, model_path, rng.randint(steps // 3, steps)) is None:
        kills += 1
        assert kills < 40
    assert kills > 0
    assert table.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_with_table_and_catalog_in_a_bucket(
    library: Path, tmp_path: Path, model_path: Path, bucket: Path
) -> None:
    whole = tmp_path / "whole.csv"
    drive(library, whole, model_path, 0)
    out, table = "s3://photos/tags.csv", bucket / "tags.csv"
    steps = drive(library, out, model_path, 0)
    assert steps is not None
    assert table.read_bytes() == whole.read_bytes()
    for last in random.Random(2).sample(range(10, steps), 4):
        for file in bucket.iterdir():
            file.unlink()
        assert drive(library, out, model_path, last) is None
        assert drive(library, out, model_path, 0) is not None
        assert table.read_bytes() == whole.read_bytes(), f"killed at step {last}"
        assert sorted(os.listdir(bucket)) == ["tags.csv", "tags.csv.geotag"]
