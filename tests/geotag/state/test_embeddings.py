"""Embeddings of scanned photos: what they are, and that they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from geotag.decoding.transforms import preprocess
from geotag.engines.base import EngineOptions
from geotag.engines.embedding import Embedder
from geotag.errors import CheckpointError, UsageError
from geotag.model.architectures import build_model
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.model.spec import ModelSpec, Threshold
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
from geotag.places.private import Zone
from geotag.state.summary import Summary
from tests.conftest import COLOURS, WritePhoto, gps_ifd

SIZE = 64


@pytest.fixture(scope="session")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the shipped kind with random weights."""
    return make_recogniser(tmp_path_factory.mktemp("model") / "model.safetensors", 0)


def make_recogniser(path: Path, seed: int) -> Path:
    import torch

    torch.manual_seed(seed)
    slugs = tuple(slug for slug in COLOURS if slug)
    network = build_model("pplcnetv2", len(slugs) + 1)
    spec = ModelSpec(
        "pplcnetv2",
        SIZE,
        "squash",
        (0.5,) * 3,
        (0.5,) * 3,
        slugs,
        1.0,
        (Threshold(0.95, 0.6), Threshold(0.99, 0.9)),
        {"made by": "tests"},
    )
    save_checkpoint(path, spec, {k: v.numpy() for k, v in network.state_dict().items()})
    return path


@pytest.fixture
def library(tmp_path: Path, write_photo: WritePhoto) -> Path:
    for seed, colour in enumerate(COLOURS):
        write_photo(f"{seed}.jpg", colour, seed=seed)
    write_photo("measured.jpg", gps=gps_ifd(1, 2))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return tmp_path / "photos"


def scanned(library: Path, out: Path, model: Path, **changes: object) -> Summary:
    options = ScanOptions(model=model, engine_options=EngineOptions("pytorch", "cpu"))
    options = options._replace(embeddings=str(out), **changes)
    return scan_library([str(library)], str(out.parent / "t.csv"), options)


def embeddings(path: Path) -> dict[str, NDArray[np.float16]]:
    table = pq.read_table(path)
    return dict(
        zip(
            (Path(name).name for name in table["path"].to_pylist()),
            map(np.array, table["embedding"].to_numpy()),
            strict=True,
        )
    )


def test_a_row_for_each_photo_that_the_network_saw(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    names = [f"{seed}.jpg" for seed in range(len(COLOURS))]
    pixels = [preprocess(Image.open(library / name), SIZE) for name in names]
    expected = Embedder(load_checkpoint(recogniser)).embed(np.stack(pixels))
    found = embeddings(out)
    assert list(found) == names
    np.testing.assert_allclose(np.stack(list(found.values())), expected, atol=2e-3)
    table = pq.read_table(out)
    assert table.schema.field("embedding").type == pa.list_(pa.float16(), 1280)
    (name,) = set(table["model"].to_pylist())
    assert load_checkpoint(recogniser).header.name == name


def test_unchanged_photos_keep_theirs(
    library: Path, tmp_path: Path, recogniser: Path, write_photo: WritePhoto
) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    first, before = embeddings(out), out.stat()
    assert scanned(library, out, recogniser).read == 0
    assert out.stat() == before
    write_photo("new.jpg", "taj_mahal", seed=9)
    (library / "0.jpg").rename(library / "renamed.jpg")
    (library / "1.jpg").unlink()
    summary = scanned(library, out, recogniser)
    assert (summary.read, summary.moved) == (1, 1)
    second = embeddings(out)
    assert list(second) == ["2.jpg", "3.jpg", "new.jpg", "renamed.jpg"]
    assert np.array_equal(second["renamed.jpg"], first["0.jpg"])
    assert np.array_equal(second["2.jpg"], first["2.jpg"])


def test_photos_that_were_classified_without_are_read_once_more(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    whole = out.read_bytes()
    out.unlink()
    Path(f"{out}.kept").unlink()
    assert scanned(library, out, recogniser, limit=1).read == 1
    assert len(embeddings(out)) == 1
    assert scanned(library, out, recogniser).read == 3
    assert out.read_bytes() == whole


def test_another_model_makes_its_own(library: Path, tmp_path: Path, recogniser: Path) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    first = embeddings(out)
    scanned(library, out, make_recogniser(tmp_path / "other.safetensors", 1))
    second = embeddings(out)
    assert list(first) == list(second)
    assert not any(np.array_equal(first[name], second[name]) for name in first)


def test_numpy_s_format_with_the_paths_beside_it(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    scanned(library, tmp_path / "e.parquet", recogniser)
    scanned(library, tmp_path / "e.npy", recogniser)
    rows = np.load(tmp_path / "e.npy", mmap_mode="r", allow_pickle=False)
    expected = embeddings(tmp_path / "e.parquet")
    assert rows.dtype == np.float16
    assert np.array_equal(rows, np.stack(list(expected.values())))
    paths = pq.read_table(tmp_path / "e.paths.parquet")
    assert [Path(name).name for name in paths["path"].to_pylist()] == list(expected)


def test_a_library_without_any_has_an_empty_file(
    tmp_path: Path, recogniser: Path, write_photo: WritePhoto
) -> None:
    write_photo("measured.jpg", gps=gps_ifd(1, 2))
    for name in ("e.parquet", "e.npy"):
        scanned(tmp_path / "photos", tmp_path / name, recogniser)
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 0
    assert np.load(tmp_path / "e.npy").shape == (0, 0)


@pytest.mark.parametrize("damage", [b"nothing of the sort", b""])
def test_what_is_damaged_is_made_again(
    library: Path, tmp_path: Path, recogniser: Path, damage: bytes
) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    whole = out.read_bytes()
    Path(f"{out}.kept").write_bytes(damage)
    assert scanned(library, out, recogniser).read == 4
    assert out.read_bytes() == whole


def test_a_flipped_bit_costs_one_photo_its_row_until_it_is_read_again(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    import sqlite3

    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    whole = out.read_bytes()
    with sqlite3.connect(f"{out}.kept") as kept:
        kept.execute(
            "UPDATE embeddings SET vector = zeroblob(2560) WHERE CAST(uri AS TEXT) LIKE '%2.jpg'"
        )
    kept.close()
    assert scanned(library, out, recogniser).read == 1
    assert out.read_bytes() == whole


def test_pruned_photos_are_forgotten(library: Path, tmp_path: Path, recogniser: Path) -> None:
    out = tmp_path / "e.parquet"
    scanned(library, out, recogniser)
    assert b"/2.jpg" in Path(f"{out}.kept").read_bytes()
    (library / "2.jpg").unlink()
    scanned(library, out, recogniser, prune=True)
    assert b"/2.jpg" not in Path(f"{out}.kept").read_bytes()


@pytest.mark.slow
def test_in_a_bucket_they_are_written_and_kept_there(
    library: Path, tmp_path: Path, recogniser: Path, bucket: Path, write_photo: WritePhoto
) -> None:
    def scan(name: str) -> Summary:
        options = ScanOptions(model=recogniser, engine_options=EngineOptions("pytorch", "cpu"))
        options = options._replace(embeddings=f"s3://photos/{name}")
        return scan_library([str(library)], "s3://photos/t.csv", options)

    scanned(library, tmp_path / "e.parquet", recogniser)
    scanned(library, tmp_path / "e.npy", recogniser)
    assert scan("e.parquet").read == 6
    assert (bucket / "e.parquet").read_bytes() == (tmp_path / "e.parquet").read_bytes()
    names = ("e.parquet", "e.parquet.kept")
    before = [(bucket / name).stat().st_mtime_ns for name in names]
    assert scan("e.parquet").read == 0
    assert [(bucket / name).stat().st_mtime_ns for name in names] == before
    assert scan("e.npy").read == 4
    for name in ("e.npy", "e.paths.parquet"):
        assert (bucket / name).read_bytes() == (tmp_path / name).read_bytes()
    write_photo("new.jpg", "taj_mahal", seed=9)
    assert scan("e.parquet").read == 1
    assert list(embeddings(bucket / "e.parquet"))[-1] == "new.jpg"
    assert not list(bucket.glob("*.lock"))


@pytest.mark.parametrize("name", ["e.csv", "s3://photos/e"])
def test_other_files_are_refused(
    library: Path, tmp_path: Path, recogniser: Path, name: str
) -> None:
    place = name if "://" in name else str(tmp_path / name)
    with pytest.raises(UsageError, match="must be a file"):
        scan_library(
            [str(library)], str(tmp_path / "t.csv"), ScanOptions(model=recogniser, embeddings=place)
        )


def test_private_zones_and_embeddings_exclude_each_other(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    with pytest.raises(UsageError, match="private"):
        scanned(library, tmp_path / "e.npy", recogniser, private=(Zone(1, 2, 3),))


def test_a_network_without_embeddings_is_refused(
    library: Path, tmp_path: Path, model_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="lenet gives no embeddings"):
        scanned(library, tmp_path / "e.npy", model_path)


@pytest.mark.slow
def test_workers_of_a_cluster_give_the_same(
    library: Path, tmp_path: Path, recogniser: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, runner in ((here, "local"), (there, "ray")):
        folder.mkdir()
        scanned(library, folder / "e.parquet", recogniser, runner=runner, workers=1)
    assert (here / "e.parquet").read_bytes() == (there / "e.parquet").read_bytes()
