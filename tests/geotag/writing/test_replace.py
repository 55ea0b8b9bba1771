"""Files that change hands whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from geotag.writing.replace import (
    CannotWriteError,
    Original,
    read_file,
    read_original,
    remove,
    remove_temporary,
    replace,
    temporary_beside,
)

OLD, NEW = b"the old bytes" * 1000, b"the new bytes" * 1001


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(OLD)
    os.utime(path, ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    return path


def put(path: Path, new: bytes = NEW) -> None:
    replace(read_original(str(path)), new, temporary_beside(str(path)))


def assert_untouched(path: Path) -> None:
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_bytes_change_and_times_and_mode_stay(photo: Path) -> None:
    photo.chmod(0o640)
    before = photo.stat()
    put(photo)
    after = photo.stat()
    assert photo.read_bytes() == NEW
    assert after.st_mtime_ns == before.st_mtime_ns
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert os.listdir(photo.parent) == ["photo.jpg"]


def test_extended_attributes_stay(photo: Path) -> None:
    try:
        os.setxattr(photo, "user.rating", b"5")
    except (OSError, AttributeError):
        pytest.skip("this file system has no extended attributes")
    put(photo)
    assert os.getxattr(photo, "user.rating") == b"5"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be root")
def test_owner_stays(photo: Path) -> None:
    os.chown(photo, 12345, 23456)
    put(photo)
    assert (photo.stat().st_uid, photo.stat().st_gid) == (12345, 23456)


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    try:
        Path(os.fsdecode(path)).write_bytes(OLD)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    put(Path(os.fsdecode(path)))
    assert Path(os.fsdecode(path)).read_bytes() == NEW


def test_longest_possible_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".jpg")
    path.write_bytes(OLD)
    put(path)
    assert path.read_bytes() == NEW


def test_symbolic_link_is_refused_and_followed_when_forced(photo: Path) -> None:
    link = photo.with_name("link.jpg")
    link.symlink_to(photo)
    with pytest.raises(CannotWriteError, match="symbolic link"):
        read_original(str(link))
    original = read_original(str(link), force=True)
    replace(original, NEW, temporary_beside(original.path))
    assert link.is_symlink() and photo.read_bytes() == NEW


def test_hard_link_is_refused_and_parted_when_forced(photo: Path) -> None:
    other = photo.with_name("other.jpg")
    other.hardlink_to(photo)
    with pytest.raises(CannotWriteError, match="2 names"):
        read_original(str(photo))
    replace(read_original(str(photo), force=True), NEW, temporary_beside(str(photo)))
    assert (photo.read_bytes(), other.read_bytes()) == (NEW, OLD)


def test_read_only_file_is_refused(photo: Path) -> None:
    photo.chmod(0o444)
    with pytest.raises(CannotWriteError, match="read-only"):
        read_original(str(photo))


def test_vanished_and_special_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError, match="no such file"):
        read_original(str(tmp_path / "gone.jpg"))
    with pytest.raises(CannotWriteError, match="regular"):
        read_original(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(CannotWriteError, match="regular"):
        read_original(str(tmp_path / "pipe.jpg"))


@pytest.mark.parametrize(
    "meddle",
    [
        lambda path: path.write_bytes(OLD[::-1]),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.chmod(0o400),
        lambda path: (path.rename(path.with_suffix(".bak")), path.write_bytes(OLD)),
    ],
    ids=["bytes", "time", "mode", "another file"],
)
def test_file_that_changed_meanwhile_is_left_alone(
    photo: Path, meddle: Callable[[Path], object]
) -> None:
    original = read_original(str(photo))
    meddle(photo)
    now = photo.read_bytes()
    with pytest.raises(CannotWriteError, match="changed it meanwhile"):
        replace(original, NEW, temporary_beside(str(photo)))
    assert photo.read_bytes() == now
    assert not list(photo.parent.glob(".geotag-*"))


@pytest.mark.parametrize(
    ("function", "number", "word"),
    [
        ("write", errno.ENOSPC, "disk is full"),
        ("write", errno.EDQUOT, "quota"),
        ("fsync", errno.EIO, "cannot be changed"),
        ("open", errno.EACCES, "permission"),
        ("open", errno.EROFS, "read-only file system"),
        ("fchmod", errno.EPERM, "owner"),
        ("replace", errno.EPERM, "owner"),
    ],
)
def test_failing_step_leaves_the_file_untouched(
    photo: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, word: str
) -> None:
    original = read_original(str(photo))

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(CannotWriteError, match=word):
        replace(original, NEW, temporary_beside(str(photo)))
    monkeypatch.undo()
    assert_untouched(photo)


def test_disk_that_fills_up_halfway_leaves_the_file_untouched(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = read_original(str(photo))
    real, room = os.write, 5000

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "full")
        done = real(descriptor, data[:room])
        room -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(CannotWriteError, match="disk is full"):
        replace(original, NEW, temporary_beside(str(photo)))
    monkeypatch.undo()
    assert_untouched(photo)


def test_interrupted_write_cleans_up(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    original = read_original(str(photo))
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace(original, NEW, temporary_beside(str(photo)))
    monkeypatch.undo()
    assert_untouched(photo)


def test_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "new.xmp"
    replace(Original(str(path), b"", None), NEW, temporary_beside(str(path)))
    assert path.read_bytes() == NEW
    with pytest.raises(CannotWriteError, match="made it meanwhile"):
        replace(Original(str(path), b"", None), OLD, temporary_beside(str(path)))
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["new.xmp"]


def test_new_file_on_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fail)
    test_new_file_never_takes_the_place_of_another(tmp_path)


def test_removal_of_an_unchanged_file_alone(photo: Path) -> None:
    original = read_original(str(photo))
    photo.write_bytes(NEW)
    with pytest.raises(CannotWriteError, match="changed"):
        remove(original)
    remove(read_original(str(photo)))
    assert not photo.exists()


def test_only_our_temporary_files_are_removed(photo: Path) -> None:
    remove_temporary(str(photo), str(photo))
    assert photo.exists()
    ours = Path(temporary_beside(str(photo)))
    ours.write_bytes(b"left behind")
    remove_temporary(str(ours), str(photo.parent / "elsewhere" / photo.name))
    assert ours.exists()
    remove_temporary(str(ours), str(photo))
    assert not ours.exists()


def swapped_by(path: Path, make: Callable[[Path], object]) -> Callable[[int], None]:
    """Another user, who swaps the temporary file for something else once it is written."""

    def meddle(descriptor: int) -> None:
        for temporary in path.parent.glob(".geotag-*.tmp"):
            temporary.unlink()
            make(temporary)

    return meddle


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"theirs"),
        lambda path: path.symlink_to(path.parent / "secret"),
        lambda path: os.link(path.parent / "secret", path),
        lambda path: None,
    ],
    ids=["file", "symbolic link", "hard link", "gone"],
)
def test_a_swapped_temporary_file_gets_no_ones_name(
    photo: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    secret = photo.parent / "secret"
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    original = read_original(str(photo))
    monkeypatch.setattr(os, "fsync", swapped_by(photo, make))
    with pytest.raises(CannotWriteError, match="temporary file"):
        replace(original, NEW, temporary_beside(str(photo)))
    monkeypatch.undo()
    assert photo.read_bytes() == OLD
    assert (secret.read_bytes(), secret.stat().st_mode & 0o777) == (b"secret", 0o600)


def test_mode_and_owner_are_those_of_the_open_file(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = photo.parent / "victim"
    victim.write_bytes(b"theirs")
    victim.chmod(0o600)
    photo.chmod(0o666)
    original = read_original(str(photo))
    real = os.fchmod

    def fchmod(descriptor: int, mode: int) -> None:
        swapped_by(photo, lambda path: path.symlink_to(victim))(descriptor)
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", fchmod)
    with pytest.raises(CannotWriteError, match="temporary file"):
        replace(original, NEW, temporary_beside(str(photo)))
    assert victim.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("elsewhere")])
def test_a_temporary_name_that_is_taken_is_not_used(
    photo: Path, make: Callable[[Path], object]
) -> None:
    temporary = Path(temporary_beside(str(photo)))
    make(temporary)
    with pytest.raises(CannotWriteError):
        replace(read_original(str(photo)), NEW, str(temporary))
    assert photo.read_bytes() == OLD
    assert os.path.lexists(temporary)
    assert not (photo.parent / "elsewhere").exists()


def test_the_photo_is_compared_when_all_else_is_done(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = read_original(str(photo))
    monkeypatch.setattr(os, "fsync", lambda descriptor: photo.write_bytes(b"edited meanwhile"))
    with pytest.raises(CannotWriteError, match="changed it meanwhile"):
        replace(original, NEW, temporary_beside(str(photo)))
    assert photo.read_bytes() == b"edited meanwhile"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(device: str) -> None:
    with pytest.raises(CannotWriteError, match="regular"):
        read_file(device)
