"""One command makes the shipped model, whatever kills it, and refuses a worse one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from geotag.errors import DataError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.model.known import load_known
from geotag.model.spec import Threshold
from tests.training.conftest import Invoke, write_set
from training import release
from training.reports import card

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not find_spec("matplotlib"), reason="matplotlib is not installed")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough to prove a precision of 99 %."""
    counts = {"train": 12, "val": 40, "test": 3}
    return write_set(tmp_path_factory.mktemp("photos"), counts, size=(40, 32))


@pytest.fixture
def last(model_path: Path, tmp_path: Path) -> Path:
    """A model that tags nothing, which is easy to do better than."""
    checkpoint = load_checkpoint(model_path)
    thresholds = (Threshold(0.95, 1.0), Threshold(0.99, 1.0))
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, checkpoint.spec._replace(thresholds=thresholds), checkpoint.tensors)
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package's folder with a model card."""
    folder = tmp_path / "package"
    folder.mkdir()
    tables = ("\nold\n".join(card.mark(name, "test")) for name in card.TABLES)
    (folder / "MODEL_CARD.md").write_text("\n".join(["# Card", *tables, "The end.\n"]))
    return folder


def _arguments(photos: Path, out: Path, last: Path, package: Path) -> list[str]:
    options = {"recipe": "tiny", "data": photos, "out": out, "last": last, "into": package,
               "size": 32}  # fmt: skip
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_killed_after_any_file_it_ends_with_the_same_bytes(
    photos: Path, last: Path, package: Path, tmp_path: Path
) -> None:
    made, told = {}, {}
    for way in ("whole", "killed"):
        into = tmp_path / way / "package"
        shutil.copytree(package, into)
        out = tmp_path / way / "out"
        told[way] = subprocess.run(
            [sys.executable, "-m", "tests.training.release_driver", way,
             *_arguments(photos, out, last, into)],
            cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip
        made[way] = _bytes(into) | _bytes(out / "all")
    assert made["whole"] == made["killed"]
    for name in ("last", "state.pt", "1-memory", "2-background", "3-prefilter", "check.json",
                 "MODEL_CARD.md", "model.safetensors"):  # fmt: skip
        assert f"died after {name}" in told["killed"]
    assert "died" not in told["whole"]
    installed = load_checkpoint(tmp_path / "whole/package/model.safetensors")
    assert installed.memory and installed.spec.prefilter and installed.spec.thresholds
    written = (tmp_path / "whole/package/MODEL_CARD.md").read_text()
    assert "\nold\n" not in written and "| top-1 | 100.0 % |" in written and "The end." in written
    assert "| 50 % | " in written
    assert load_known(installed.header, tmp_path / "whole/package/known.json")
    assert (tmp_path / "whole/package/model_card/loss.png").is_file()


@pytest.mark.slow
def test_a_worse_model_is_not_installed(
    photos: Path, model_path: Path, package: Path, tmp_path: Path, invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    train = release.train

    def train_badly(job: release.Job) -> None:
        """Next to no training: it tells no landmark from another."""
        train(job)
        checkpoint = load_checkpoint(job.run.model)
        tensors = {name: 0 * tensor for name, tensor in checkpoint.tensors.items()}
        save_checkpoint(job.run.model, checkpoint.spec, tensors)

    monkeypatch.setattr(release, "train", train_badly)
    arguments = _arguments(photos, tmp_path / "out", model_path, package)
    before = _bytes(package)
    with pytest.raises(DataError, match=r"not installed: all photos, top-1"):
        invoke(release.main, *arguments)
    assert _bytes(package) == before
    record = json.loads((tmp_path / "out/check.json").read_text())
    held = {bar["name"]: bar["is_held"] for bar in record["bars"]}
    assert held["megabytes"] and not held["all photos, top-1"]
    invoke(release.main, *arguments, "--force", "--no-install")
    assert _bytes(package) == before
    assert "0.1 MB" in invoke(release.main, *arguments, "--force")
    assert load_checkpoint(package / "model.safetensors").spec.architecture == "lenet"


_LIBRARY = {"share": 0.05, "estimated": [0.04, 0.045, 0.05], "precision": [0.99, 1.0, None],
            "recall": [0.6, 0.65, 0.7]}  # fmt: skip


def _report(**changes: object) -> dict[str, object]:
    tags = {"confidence": 0.9, "precision": 0.995, "recall": 0.8, "negatives_refused": 1.0,
            "other_landmarks_refused": None}  # fmt: skip
    return {
        "known_landmarks": 9, "negatives": 5, "other_landmarks": 1, "top1": 0.9, "top5": 1.0,
        "gap": 0.91, "recall_at_precision_0.95": 0.9, "recall_at_precision_0.99": 0.8, "ece": 0.02,
        "no_landmark": {"auroc": 0.99, "fpr95": None},
        "thresholds": {"0.95": tags, "0.99": tags}, "libraries": [_LIBRARY], **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({}, set()),
        ({"top1": 0.896, "ece": 0.0299}, set()),
        ({"top1": 0.89}, {"top-1"}),
        ({"recall_at_precision_0.99": 0.79}, {"recall at 99 % precision"}),
        ({"ece": 0.031}, {"calibration error"}),
        ({"thresholds": {"0.99": {"confidence": None}}}, {"tags right", "photos tagged rightly"}),
        ({"thresholds": {"0.99": {"precision": 0.98, "recall": 0.9}}}, {"tags right"}),
    ],
)
def test_bars(changes: dict[str, object], failing: set[str]) -> None:
    bars = card.bars_of("photos", _report(**changes), _report())
    assert {bar.name for bar in bars if not bar.is_held} == {f"photos, {name}" for name in failing}
    assert all(("NOT HELD" in str(bar)) != bar.is_held for bar in bars)
    assert card.size_bar(30_000_000).is_held and not card.size_bar(30_000_001).is_held


def test_the_first_model_has_nothing_to_be_worse_than() -> None:
    nothing = _report(top1=None, thresholds={"0.99": {"confidence": None}})
    nothing["recall_at_precision_0.99"] = None
    assert all(bar.is_held for bar in card.bars_of("photos", _report(), nothing))


@pytest.mark.parametrize("split", ["test", "val"])
def test_the_cards_tables_have_the_rows_that_a_command_writes(split: str) -> None:
    text = (ROOT / "geotag/MODEL_CARD.md").read_text("utf-8")
    reports = {"one": _report(), "other": _report()}
    made = card.with_tables(text, reports, split)
    for name, rows in zip(card.TABLES, (11, 4), strict=True):
        tables = [_between(page, *card.mark(name, split)) for page in (text, made)]
        first, second = (re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE) for table in tables)
        assert len(first) == rows
        assert second == first if name == "figures" else set(second) < set(first)
    for name in card.TABLES:
        made = made.replace(_between(made, *card.mark(name, split)), "")
        text = text.replace(_between(text, *card.mark(name, split)), "")
    assert made == text


def _between(page: str, opening: str, closing: str) -> str:
    return page.partition(opening)[2].partition(closing)[0]


def test_a_libraries_table_has_a_dash_for_what_has_no_value() -> None:
    assert card.format_libraries({"one": _report()}).splitlines()[-1] == (
        "| 5 % | 4.5 % | 100.0 % (99.0 % to –) | 65.0 % |"
    )


def test_what_is_missing_is_named(model_path: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(model_path)
    less = tmp_path / "less.safetensors"
    names = ("eiffel_tower", "nowhere", "stonehenge")
    save_checkpoint(less, checkpoint.spec._replace(categories=names), checkpoint.tensors)
    found = release.missing(less, model_path, None)
    assert found == [
        "does not know what the last model knew: taj_mahal",
        "knows what the landmark table lacks: nowhere",
    ]
