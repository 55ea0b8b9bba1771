"""exiftool sees exactly the intended differences, in generated and in real files."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from geotag.categories import load_categories
from geotag.records import Outcome, Status, TopCategory
from geotag.state.catalog import open_catalog
from geotag.state.journal import Journal
from geotag.writing.result import Action
from geotag.writing.revert import revert_run
from geotag.writing.writeback import WriteOptions, write_run
from tests.geotag.writing.judge import Tags, needs_exiftool, read_tags, unintended
from tests.geotag.writing.kinds import embeddable, refused, sidecar_only

_COMPLAINT = re.compile(r"ExifTool:.*(Warning|Error)")
Snapshot = dict[str, tuple[bytes, int]]


def rows_for(folder: Path) -> list[Outcome]:
    """A row for each photo, with the landmarks of the table in turn."""
    categories = list(load_categories())
    names = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".xmp")
    rows = []
    for number, path in enumerate(names):
        c = categories[number % len(categories)]
        top = (TopCategory(c.id, c.slug, c.name, 0.97),)
        rows.append(
            Outcome(
                str(path),
                Status.TAGGED,
                c.latitude,
                c.longitude,
                None,
                "inferred",
                c.radius_m,
                c.name,
                c.id,
                0.97,
                c.city,
                c.country,
                top_k=top,
                model="net-0123456789ab",
            )
        )
    return rows


def placed_rows(folder: Path) -> list[Outcome]:
    """A row for each photo, placed by its neighbours."""
    return [
        Outcome(
            row.path,
            Status.PLACED,
            48.8531 - number / 7,
            2.3499 - number / 3,
            position_source="inferred",
            radius_m=120.4,
            method="neighbour",
            evidence="IMG_1.jpg was taken 5 min before, 90 m away",
            place="Paris",
            region="Île-de-France",
            country="France",
        )
        for number, row in enumerate(rows_for(folder))
    ]


def snapshot(folder: Path) -> Snapshot:
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def judge(folder: Path, catalog: Path, kind: str) -> Counter[Action]:
    """Write, let exiftool compare, write again, revert, compare bytes and times."""
    rows = placed_rows(folder) if kind == "placed" else rows_for(folder)
    old, before = snapshot(folder), read_tags(folder)
    with open_catalog(catalog) as opened:
        options = WriteOptions(position=kind != "tags")
        results = list(write_run(rows, opened, options, "test"))
        check_tags(before, read_tags(folder), kind)
        again = list(write_run(rows, opened, options, "test"))
        assert {r.action for r in again} <= {
            Action.UNCHANGED,
            Action.FAILED,
            Action.LEFT_ALONE,
        }
        check_revert(Journal(opened.connection), folder, old)
    return Counter(result.action for result in results)


def check_tags(before: dict[str, Tags], after: dict[str, Tags], kind: str) -> None:
    assert before.keys() <= after.keys()
    differences = {name: unintended(before[name], after[name], kind) for name in before}
    found = {name: d for name, d in differences.items() if d}
    assert found == {}, str(found)[:2000]
    check_sidecars(after.keys() - before.keys(), after, kind)


def check_sidecars(names: Iterable[str], tags: dict[str, Tags], kind: str) -> None:
    place = "LocationCreated" if kind == "placed" else "LocationShown"
    for name in names:
        assert name.endswith(".xmp")
        assert not [key for key in tags[name] if _COMPLAINT.search(key)], name
        assert any(key.startswith(f"XMP-iptcExt:{place}") for key in tags[name])


def check_revert(journal: Journal, folder: Path, old: Snapshot) -> None:
    for run in (run for run in reversed(journal.runs()) if run.files):
        assert {r.action for r in revert_run(journal, run.id)} == {Action.REVERTED}
    assert snapshot(folder) == old


@needs_exiftool
@pytest.mark.parametrize(
    "kind", ["tags", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("gps", "placed"))]
)
def test_generated_files(tmp_path: Path, kind: str, record_property: object) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    makers = [*embeddable(), *((n, m) for n, m, _ in refused()), *sidecar_only()]
    for number, (name, maker) in enumerate(makers):
        path = folder / name
        path.write_bytes(maker())
        os.utime(path, ns=(10**18, 10**18 + number))
    counts = judge(folder, tmp_path / "t.geotag", kind)
    record_property("files_judged", len(makers))  # type: ignore[operator]
    print(f"{len(makers)} generated files judged: {dict(counts)}")
    assert counts[Action.WRITTEN] + counts[Action.LEFT_ALONE] == len(makers)
    assert (counts[Action.LEFT_ALONE] > 0) is (kind == "placed")


@pytest.mark.slow
@needs_exiftool
@pytest.mark.realdata
@pytest.mark.parametrize("kind", ["tags", "gps", "placed"])
def test_real_camera_files(
    tmp_path: Path, shared_data: Path, kind: str, record_property: object
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(shared_data / "exif", folder, ignore=shutil.ignore_patterns("README*", "*.rst"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    count = sum(path.is_file() for path in folder.rglob("*"))
    counts = judge(folder, tmp_path / "t.geotag", kind)
    record_property("files_judged", count)  # type: ignore[operator]
    print(f"{count} real files judged: {dict(counts)}")
    assert counts[Action.WRITTEN] + counts[Action.LEFT_ALONE] == count
    assert (counts[Action.LEFT_ALONE] > 0) is (kind == "placed")
