"""The cache of converted models may cost time, never the result."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from geotag.engines.conversion import Converted, cached_conversion, convert_apart
from geotag.files.places import cache_folder
from geotag.model.checkpoint import Checkpoint, load_checkpoint

RESULT = Converted(b"a graph", b"and its weights")


class Converter:
    """Counts how often it had to work."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, checkpoint: Checkpoint) -> Converted:
        self.calls += 1
        return RESULT


@pytest.fixture
def checkpoint(model_path: Path) -> Checkpoint:
    return load_checkpoint(model_path)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _kept() -> list[Path]:
    return sorted(path for path in cache_folder().rglob("*") if path.is_file())


def _where(checkpoint: Checkpoint) -> Converted:
    """The process that converts, and the model that it got."""
    return Converted(str(os.getpid()).encode(), checkpoint.header.sha256.encode())


def _only_here(checkpoint: Checkpoint) -> Converted:
    if os.environ.get("HERE") != str(os.getpid()):
        os.kill(os.getpid(), 9)
    return RESULT


def test_converts_in_a_process_of_its_own(checkpoint: Checkpoint) -> None:
    process, sha256 = convert_apart(checkpoint, _where)
    assert int(process) != os.getpid()
    assert sha256.decode() == checkpoint.header.sha256


def test_converts_here_where_no_other_process_can(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", str(os.getpid()))
    assert convert_apart(checkpoint, _only_here) == RESULT
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert int(convert_apart(checkpoint, _where)[0]) == os.getpid()


def test_converts_once(checkpoint: Checkpoint) -> None:
    convert = Converter()
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert convert.calls == 1
    assert len(_kept()) == 1


def test_another_engine_version_or_model_is_converted_anew(checkpoint: Checkpoint) -> None:
    convert = Converter()
    cached_conversion(checkpoint, "engine 1", convert)
    cached_conversion(checkpoint, "engine 2", convert)
    other = checkpoint._replace(header=checkpoint.header._replace(sha256="1" * 64))
    cached_conversion(other, "engine 1", convert)
    assert convert.calls == 3


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage", "other key"])
def test_a_damaged_cache_is_converted_anew(checkpoint: Checkpoint, damage: str) -> None:
    convert = Converter()
    cached_conversion(checkpoint, "engine 1", convert)
    (path,) = _kept()
    data = path.read_bytes()
    if damage == "other key":
        other = checkpoint._replace(header=checkpoint.header._replace(sha256="1" * 64))
        cached_conversion(other, "engine 1", lambda _: Converted(b"another's", b""))
        (stranger,) = set(_kept()) - {path}
        stranger.replace(path)
    else:
        damaged = {
            "flip": data[:-1] + bytes([data[-1] ^ 1]),
            "truncate": data[: len(data) // 2],
            "empty": b"",
            "garbage": os.urandom(4096),
        }
        path.write_bytes(damaged[damage])
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert convert.calls == 2
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert convert.calls == 2


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_file_that_others_can_write_is_not_trusted(checkpoint: Checkpoint) -> None:
    convert = Converter()
    cached_conversion(checkpoint, "engine 1", convert)
    (path,) = _kept()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o666)
    cached_conversion(checkpoint, "engine 1", convert)
    assert convert.calls == 2


def test_no_place_for_a_cache(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    convert = Converter()
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert cached_conversion(checkpoint, "engine 1", convert) == RESULT
    assert convert.calls == 2


def test_old_models_make_room(checkpoint: Checkpoint) -> None:
    for version in range(18):
        cached_conversion(checkpoint, f"engine {version}", Converter())
        for path in _kept():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    assert len(_kept()) == 12
    last = Converter()
    cached_conversion(checkpoint, "engine 17", last)
    assert last.calls == 0
