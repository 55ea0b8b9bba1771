"""A library scanned in shares, and their tables merged into one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import geotag
from geotag.cli import main
from geotag.errors import TableError, UsageError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.records import Outcome, Status
from geotag.sources.shards import Shard, parse_shard
from geotag.tables import read_table, write_table
from geotag.tables.dataset import row_order
from geotag.tables.parquet import read_note
from geotag.tables.parts import Part, check_together, format_part, parse_part, part_path
from tests.conftest import COLOURS, WritePhoto, gps_ifd

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    for number, colour in enumerate([*COLOURS] * 3):
        write_photo(f"{number}/{colour}-{number}.jpg", colour, seed=number)
    write_photo("a b/gps.jpg", gps=gps_ifd(10, 20))
    write_photo("ü/é.jpg", "taj_mahal")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "photos" / "1" / "-1.xmp").write_text("<x/>")
    (tmp_path / "photos" / "=formula.jpg").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos/caf\xe9.jpg")).write_bytes(b"")
    return tmp_path / "photos"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(str(end.value.code))


def scan_parts(library: Path, folder: Path, model: Path, total: int, *more: object) -> list[Path]:
    parts = []
    for number in range(1, total + 1):
        parts.append(folder / f"part-{number:02d}.parquet")
        shard = ("--shard", f"{number}/{total}", "--out", parts[-1], "--model", model)
        assert run("scan", library, *shard, *more, "--quiet") in (0, 3)
    return parts


def test_merged_shards_are_the_bytes_of_one_scan(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    parts = scan_parts(library, tmp_path, model_path, 3)
    assert all(list(geotag.read_table(part)) for part in parts)
    for suffix in ("csv", "parquet", "jsonl", "geojson"):
        whole, merged = tmp_path / f"whole.{suffix}", tmp_path / f"merged.{suffix}"
        same = ("--catalog", tmp_path / "whole.geotag", "--model", model_path, "--quiet")
        assert run("scan", library, "--out", whole, *same) == 3
        assert run("merge", *reversed(parts), "--out", merged) == 0
        assert merged.read_bytes() == whole.read_bytes()


def test_a_raw_photo_its_jpeg_and_sidecars_are_in_one_shard() -> None:
    for total in (2, 7, 64):
        shards = [Shard(number, total) for number in range(1, total + 1)]
        seen: Counter[int] = Counter()
        for number in range(500):
            names = [f"s3://b/x/IMG_{number}.{end}" for end in ("jpg", "NEF", "xmp")]
            holders = {shard.number for name in names for shard in shards if shard.holds(name)}
            assert len(holders) == 1
            seen.update(holders)
        assert max(seen.values()) < 2 * 500 / total + 10 and len(seen) == total


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1/1000000"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UsageError, match="is not a shard such as 3/64"):
        parse_shard(text)


@pytest.mark.slow
def test_what_does_not_fit_together_is_refused_with_the_reason(
    library: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three = scan_parts(library, tmp_path, model_path, 3)
    out = tmp_path / "merged.csv"

    def refused(*parts: Path) -> str:
        assert run("merge", *parts, "--out", out) in (1, 2)
        assert not out.exists()
        return capsys.readouterr().err

    def again(number: int, *more: object, total: int = 3) -> Path:
        part = tmp_path / "other" / "part.parquet"
        part.parent.mkdir(exist_ok=True)
        for old in part.parent.iterdir():
            old.unlink()
        shard = ("--shard", f"{number}/{total}", "--out", part, "--model", model_path)
        assert run("scan", library, *shard, *more, "--quiet") in (0, 3)
        return part

    assert "shard 2 is missing of 3" in refused(one, three)
    assert "2 shards (1, 3) are missing" in refused(two)
    assert "shard 3/3 is also in" in refused(one, two, three, three)
    assert "threshold (0.5)" in refused(one, two, again(3, "--threshold", 0.5))
    assert "another all (True)" in refused(one, two, again(3, "--all"))
    assert "another include" in refused(one, two, again(3, "--include", "*.jpg"))
    assert "different divisions" in refused(one, two, again(3, total=4))
    assert "not read yet" in refused(one, two, again(3, "--limit", 0))
    other = tmp_path / "model.safetensors"
    checkpoint = load_checkpoint(model_path)
    spec = checkpoint.spec._replace(provenance={"made by": "others"})
    save_checkpoint(other, spec, checkpoint.tensors)
    assert "another model" in refused(one, two, again(3, "--model", other))
    whole = again(1, total=1)
    assert "different divisions" in refused(one, whole)
    csv = tmp_path / "part.csv"
    csv.write_text("path\n")
    assert "must be a .parquet file" in refused(one, two, csv)
    assert run("convert", three, "--out", tmp_path / "plain.parquet") == 0
    assert "not the table of a shard" in refused(one, two, tmp_path / "plain.parquet")
    assert "cannot be read" in refused(one, two, tmp_path / "none.parquet")


def test_the_option_that_differs_is_named_before_what_follows_from_it() -> None:
    made = {"model": "m", "threshold": 0.9, "prefilter": 0.7}
    others = made | {"threshold": 0.5, "prefilter": 0.1}
    notes = (format_part(Part(Shard(n, 2), by, [], 0)) for n, by in ((1, made), (2, others)))
    with pytest.raises(TableError, match=r"another threshold \(0\.5\)"):
        check_together([("part", parse_part(note, "part")) for note in notes])


@pytest.mark.parametrize("kind", ["disk", "bucket"])
def test_shards_write_into_one_folder_which_is_the_table(
    library: Path, tmp_path: Path, model_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"{tmp_path}/table/" if kind == "disk" else f"memory://{tmp_path.name}/table/"
    model = ("--model", model_path)
    for number in (1, 2, 3):
        shard = ("--shard", f"{number}/3", "--out", place, "--quiet")
        assert run("scan", library, *shard, *model) in (0, 3)
        if number < 3:
            assert run("merge", place) == 1
            assert "missing of 3" in capsys.readouterr().err
    assert run("merge", place) == 0
    assert "of 3 parts make up one table" in capsys.readouterr().err
    whole = tmp_path / "whole.csv"
    assert run("scan", library, "--out", whole, *model, "--quiet") == 3
    for command in ("merge", "convert"):
        out = tmp_path / f"{command}.csv"
        assert run(command, place, "--out", out) == 0
        assert out.read_bytes() == whole.read_bytes()
    assert run("merge", place, "--out", f"{place}shard-2-of-3.parquet", "--replace") == 2
    assert run("scan", library, "--shard", "1/2", "--out", place, *model) == 1
    assert "holds other files (shard-1-of-3.parquet)" in capsys.readouterr().err
    assert run("scan", library, "--out", place, *model) == 1


def test_a_night_writes_the_shards_alone_whose_rows_changed(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    table = tmp_path / "table"

    def night() -> dict[str, int]:
        for number in (1, 2, 3):
            shard = ("--shard", f"{number}/3", "--out", f"{table}/", "--quiet")
            assert run("scan", library, *shard, "--model", model_path, "--prune") in (0, 3)
        return {path.name: path.stat().st_mtime_ns for path in table.iterdir()}

    before = night()
    assert sorted(before) == [f"shard-{number}-of-3.parquet" for number in (1, 2, 3)]
    assert {path.name for path in tmp_path.glob("table-*")} == {
        f"table-{number}-of-3.geotag" for number in (1, 2, 3)
    }
    rows = len(pd.read_parquet(table))
    (library / "broken.jpg").unlink()
    after = night()
    assert sum(before[name] != after[name] for name in before) == 1
    assert len(pd.read_parquet(table)) == rows - 1


def test_more_shards_are_merged_than_files_may_be_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    paths = [f"/photos/{number:04d}.jpg" for number in range(400)]
    rows = [Outcome(path, Status.HAS_GPS, 1.5, 2.0, camera="Ä, x") for path in paths]
    for number in range(1, 151):
        shard = Shard(number, 150)
        note = format_part(Part(shard, {"model": "a"}, ["/photos"]))
        place = part_path(f"{tmp_path}/table/", shard)
        write_table(place, (row for row in rows if shard.holds(row.path)), note)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, limits[1]))
    try:
        assert list(geotag.read_table(f"{tmp_path}/table/")) == rows
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_shard_needs_parquet_and_no_places(
    library: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = ("scan", library, "--model", model_path, "--shard", "1/2")
    assert run(*shard, "--out", tmp_path / "part.csv") == 2
    assert "must be a .parquet file" in capsys.readouterr().err
    assert run(*shard, "--out", tmp_path / "part.parquet", "--places") == 2
    assert "other shards" in capsys.readouterr().err


def test_a_table_is_not_merged_over_what_is_there(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    parts = scan_parts(library, tmp_path, model_path, 2)
    out = tmp_path / "tags.csv"
    out.write_text("mine")
    assert run("merge", *parts, "--out", out) == 2
    assert run("merge", *parts, "--out", parts[0], "--replace") == 2
    assert out.read_text() == "mine"
    assert run("merge", *parts, "--out", out, "--replace") == 0
    assert len(list(geotag.read_table(out))) == len(geotag.scan(library, model=model_path))


def test_parts_are_never_written_over_by_what_is_made_of_them(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    """Parts are named as the files of a table that is a folder are."""
    folder = tmp_path / "results"
    folder.mkdir()
    parts = [
        part.rename(folder / part.name) for part in scan_parts(library, tmp_path, model_path, 2)
    ]
    before = [part.read_bytes() for part in parts]
    for more in ((), ("--replace",)):
        assert run("merge", *parts, "--out", f"{folder}/", *more) == 2
        assert run("convert", parts[0], "--out", f"{folder}/", *more) == 2
    assert [part.read_bytes() for part in parts] == before
    assert {*folder.iterdir()} == {*parts}


def test_a_part_that_was_edited_is_refused(
    library: Path, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = scan_parts(library, tmp_path, model_path, 2)
    part = max(parts, key=lambda part: part.stat().st_size)  # one of several rows
    other, note = parts[1 - parts.index(part)], read_note(part)
    rows = list(read_table(part))
    both = sorted([*read_table(other), *rows], key=row_order)
    for edited in (both, [*rows, rows[-1]], rows[::-1], rows[:-1], rows[1:], []):
        write_table(str(part), edited, note)
        assert run("merge", *parts, "--out", tmp_path / "t.csv") == 1
        assert "was it edited" in capsys.readouterr().err
        assert not (tmp_path / "t.csv").exists()
    write_table(str(part), rows, note)
    assert run("merge", *parts, "--out", tmp_path / "t.csv") == 0


def test_pruning_a_shard_forgets_nothing_of_others(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    catalog = ("--catalog", tmp_path / "c.geotag", "--model", model_path, "--quiet")
    run("scan", library, "--out", tmp_path / "whole.csv", *catalog)
    before = (tmp_path / "whole.csv").read_bytes()
    shard = ("--shard", "1/2", "--out", tmp_path / "part.parquet", "--prune", "--summary")
    run("scan", library, *shard, tmp_path / "s.json", *catalog)
    assert '"forgotten": 0' in (tmp_path / "s.json").read_text()
    run("scan", library, "--out", tmp_path / "whole.csv", *catalog)
    assert (tmp_path / "whole.csv").read_bytes() == before


def _script(language: str, number: int) -> str:
    """A code block of the page on clusters: that of a language which comes `number`th."""
    page = (TOP / "docs" / "clusters.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)[number]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["slurm", "kubernetes"])
def test_the_documented_jobs_run_side_by_side(
    library: Path, tmp_path: Path, model_path: Path, kind: str
) -> None:
    """What the page says, in processes of this machine: as many as the jobs would be."""
    if kind == "slurm":
        script, variable, first = _script("bash", 0), "SLURM_ARRAY_TASK_ID", 1
    else:
        (script,) = re.findall(r"- >-\n(.*?)\n +env", _script("yaml", 0), flags=re.DOTALL)
        script, variable, first = " ".join(script.split()), "JOB_COMPLETION_INDEX", 0
    assert "/64" in script and variable in script
    script = script.replace("/64", "/4").replace("s3://results/", f"{tmp_path}/")
    script = script.replace("s3://uploads", f"{library} --model {model_path}")
    script = script.replace("geotag scan", f"{sys.executable} -m geotag scan")
    running = [
        subprocess.Popen(
            ["bash", "-c", script], cwd=TOP, env={**os.environ, variable: str(first + index)}
        )
        for index in range(4)
    ]
    assert {job.wait() for job in running} == {0}
    parts = sorted(tmp_path.glob("part-*.parquet"))
    assert len(parts) == 4
    assert run("merge", *parts, "--out", tmp_path / "merged.csv") == 0
    run("scan", library, "--out", tmp_path / "whole.csv", "--model", model_path, "--quiet")
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
