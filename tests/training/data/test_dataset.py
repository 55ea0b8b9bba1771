"""Training sets: both layouts, hostile manifests, splits without leaks."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from geotag.errors import DataError
from training.data.dataset import Dataset, Sample, build_dataset, load_dataset, split

HEADER = "file,label,split,source,group\n"


def photo(root: Path, path: str, content: bytes = b"jpeg") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def manifest(root: Path, rows: Iterable[str], header: str = HEADER) -> Path:
    (root / "manifest.csv").write_text(header + "".join(row + "\n" for row in rows))
    return root


def test_a_manifest_is_read_in_stable_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "n.jpg"):
        photo(tmp_path, f"x/{name}")
    rows = [
        "x/b.jpg,stonehenge,train,web,g1",
        "x/a.jpg,eiffel_tower,test,web,g2",
        "x/n.jpg,,val,web,",
    ]
    dataset = load_dataset(manifest(tmp_path, rows))
    assert dataset.classes == ("eiffel_tower", "stonehenge")
    assert [s.path for s in dataset.samples] == ["x/a.jpg", "x/b.jpg", "x/n.jpg"]
    assert [s.label for s in dataset.samples] == ["eiffel_tower", "stonehenge", ""]
    assert dataset.samples[2].group == "x/n.jpg"
    assert dataset == load_dataset(manifest(tmp_path, reversed(rows)))


def test_the_fifty_category_folders_are_read(tmp_path: Path) -> None:
    names = ["16.Eiffel_Tower", "00.Haleakala_National_Park", "04.Wroclaw's_Dwarves_", "07.Castle"]
    for name in names:
        photo(tmp_path, f"train/{name}/1.jpg")
        photo(tmp_path, f"test/{name}/2.JPG")
    photo(tmp_path, "train/16.Eiffel_Tower/notes.txt")
    dataset = load_dataset(tmp_path)
    assert dataset.classes == (
        "castle", "eiffel_tower", "haleakala_national_park", "wroclaws_dwarves",
    )  # fmt: skip
    assert len(dataset.of("train")) == len(dataset.of("test")) == 4


def test_a_number_counts_only_with_a_word_of_the_name(tmp_path: Path) -> None:
    photo(tmp_path, "train/00.Haleakala/1.jpg")
    photo(tmp_path, "train/09.Our_Bridge/1.jpg")
    photo(tmp_path, "train/16.Village_Church/1.jpg")
    assert load_dataset(tmp_path).classes == (
        "golden_gate_bridge", "haleakala_national_park", "village_church",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../secret.jpg,a,train,,", "not a plain path"),
        ("/etc/passwd,a,train,,", "not a plain path"),
        ("x/../../secret.jpg,a,train,,", "not a plain path"),
        ("x\\..\\secret.jpg,a,train,,", "not a plain path"),
        ("x/\x00.jpg,a,train,,", "plain path|cannot be read"),
        ("out/secret.jpg,a,train,,", "leads out of the folder"),
        ("link.jpg,a,train,,", "leads out of the folder"),
        ("x/none.jpg,a,train,,", "no such photo"),
        ("x,a,train,,", "no such photo"),
        (",a,train,,", "no file is named"),
        ("x/a.jpg,a,dev,,", "split 'dev'"),
        ("x/a.jpg,故宫,train,,", "Latin letters"),
        ("x/a.jpg,a", "too many or too few cells"),
        ("x/a.jpg,a,train,,,,,", "too many or too few cells"),
        ("x/a.jpg,a,train,,\nx/a.jpg,b,train,,", "line 3.*twice"),
        ("x/a.jpg," + "a" * 200_000 + ",train,,", "cannot be read"),
    ],
)
def test_hostile_manifests_are_refused(tmp_path: Path, row: str, message: str) -> None:
    secret = photo(tmp_path, "outside/secret.jpg")
    root = tmp_path / "set"
    photo(root, "x/a.jpg")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "link.jpg").symlink_to(secret)
    with pytest.raises(DataError, match=message):
        load_dataset(manifest(root, [row]))


def test_a_manifest_without_its_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column split"):
        load_dataset(manifest(tmp_path, [], "file,label\n"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither manifest\.csv nor"):
        load_dataset(tmp_path)


def test_exclusions_are_left_out(tmp_path: Path) -> None:
    photo(tmp_path, "train/a/1.jpg")
    photo(tmp_path, "train/a/2.jpg")
    exclusions = tmp_path / "exclusions.csv"
    exclusions.write_text("file,reason\ntrain/a/1.jpg,a drawing\n")
    assert [s.path for s in load_dataset(tmp_path, exclusions).samples] == ["train/a/2.jpg"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two classes and negatives, 50 photos each in groups of five, a fifth of them test."""
    samples = []
    for label in ("a", "b", ""):
        for n in range(50):
            path = f"{label or 'none'}/{n:02}.jpg"
            photo(tmp_path, path)
            samples.append(
                Sample(path, label, "test" if n < 10 else "train", "", f"{label}{n // 5}")
            )
    return build_dataset(tmp_path, samples)


def sizes(dataset: Dataset) -> list[int]:
    return [len(dataset.of(name)) for name in ("train", "val", "test")]


def test_groups_stay_together_and_classes_in_share(dataset: Dataset) -> None:
    dealt = split(dataset, "60/20/20")
    assert sizes(dealt) == [90, 30, 30]
    by_group: dict[str, set[str]] = {}
    for sample in dealt.samples:
        by_group.setdefault(sample.group, set()).add(sample.split)
    assert all(len(splits) == 1 for splits in by_group.values())
    for label in ("a", "b", ""):
        assert sum(s.label == label for s in dealt.of("val")) == 10


def test_by_file_tears_groups_apart(dataset: Dataset) -> None:
    dealt = split(dataset, "60/20/20", by="file")
    assert sizes(dealt) == [90, 30, 30]
    assert len({s.group for s in dealt.of("test")}) > 6


def test_80_20_leaves_the_given_test_alone(dataset: Dataset) -> None:
    for scheme in ("80/20", "given"):
        dealt = split(dataset, scheme)
        assert dealt.of("test") == dataset.of("test")
        assert 20 <= len(dealt.of("val")) <= 30


def test_given_splits_are_kept(dataset: Dataset) -> None:
    dealt = split(dataset, "60/20/20")
    assert split(dealt, "given") is dealt


def test_the_seed_decides(dataset: Dataset) -> None:
    assert split(dataset, "60/20/20", seed=1) == split(dataset, "60/20/20", seed=1)
    assert split(dataset, "60/20/20", seed=1) != split(dataset, "60/20/20", seed=2)


@pytest.mark.parametrize("arguments", [("50/50",), ("80/20", "photographer")])
def test_unknown_schemes_are_refused(dataset: Dataset, arguments: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="unknown split"):
        split(dataset, *arguments)


def test_the_fingerprint_sees_labels_splits_and_sizes(dataset: Dataset) -> None:
    samples = list(dataset.samples)
    again = build_dataset(dataset.root, reversed(samples))
    assert again.fingerprint == dataset.fingerprint
    prints = {dataset.fingerprint, split(dataset, "60/20/20").fingerprint}
    relabelled = [samples[0]._replace(label="b"), *samples[1:]]
    prints.add(build_dataset(dataset.root, relabelled).fingerprint)
    dataset.file(samples[0]).write_bytes(b"other")
    prints.add(build_dataset(dataset.root, samples).fingerprint)
    assert len(prints) == 4


@pytest.mark.realdata
def test_the_real_manifest_loads(shared_data: Path) -> None:
    dataset = load_dataset(shared_data)
    with (shared_data / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(dataset.samples) == len(rows)
    assert len(dataset.classes) == 143
