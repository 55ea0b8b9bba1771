"""Fetches the 50-category landmark set: resumable, checked, unpacked safely.

python scripts/download_landmarks.py --out landmark_images
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import click
from PIL import Image

from geotag.errors import DataError, GeotagError
from geotag.files.atomic import atomic_file

URL = "https://udacity-dlnfd.s3-us-west-1.amazonaws.com/datasets/landmark_images.zip"
SIZE_LIMIT = 8 * 2**30
MEMBER_LIMIT = 64 * 2**20
COUNT_LIMIT = 200_000
_BLOCK = 2**20
_TIMEOUT = 60
_SUFFIXES = (".jpg", ".jpeg", ".png")
_SPLITS = ("train", "val", "test")


class Remote(NamedTuple):
    """What the server sends of a file: a part of another version must not be continued."""

    size: int
    version: str


class DownloadError(GeotagError):
    """A download failed for good; what has arrived is kept for the next try."""


class _BrokenOffError(Exception):
    """The connection ended early: worth another try from there."""


def download(
    url: str, path: Path, sha256: str | None = None, tries: int = 5, wait: float = 1.0
) -> Path:
    """Fetch a file, going on where an earlier try ended; `path` appears only when it is whole.

    Raises DownloadError after so many tries without a byte of progress, or when size or SHA-256
    are wrong.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: not an http or https address")
    if path.is_file() and (sha256 is None or _digest(path) == sha256.lower()):
        return path
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch(url, part)
            break
        except (_BrokenOffError, OSError, HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise DownloadError(
                    f"{url}: the server responds with status {error.code}"
                ) from error
            failures = 0 if _size(part) > before else failures + 1
            if failures >= tries:
                raise DownloadError(
                    f"{url}: {error or type(error).__name__}; run again to go on"
                ) from error
            time.sleep(wait * 2**failures)
    if sha256 is not None and (found := _digest(part)) != sha256.lower():
        part.unlink()
        raise DownloadError(f"{url}: SHA-256 is {found}, not {sha256}; removed")
    part.replace(path)
    _note_of(part).unlink(missing_ok=True)
    return path


def _fetch(url: str, part: Path) -> None:
    """One try: append what is missing, or begin anew when the file has changed."""
    known = _read_note(part)
    have = _size(part) if known is not None else 0
    if known is not None and have == known.size:
        return
    headers = {"User-Agent": "geotag", "Accept-Encoding": "identity"}
    if known is not None and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": known.version}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        remote, start = _parse_response(url, response)
        if start not in (0, have):
            raise DownloadError(f"{url}: the server sent another range than it was asked for")
        _note_of(part).write_text(json.dumps(remote._asdict()))
        with part.open("ab" if start else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
    if _size(part) < remote.size:
        raise _BrokenOffError(f"broken off after {_size(part)} of {remote.size} bytes")
    if _size(part) > remote.size:
        part.unlink()
        raise DownloadError(f"{url}: longer than announced; removed")


def _parse_response(url: str, response: HTTPResponse) -> tuple[Remote, int]:
    """The whole file's size and version, and where this response begins."""
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    start, size = 0, int(response.headers.get("Content-Length") or -1)
    if response.status == 206:
        span, _, total = response.headers.get("Content-Range", "").partition("/")
        try:
            start, size = int(span.removeprefix("bytes ").partition("-")[0]), int(total)
        except ValueError:
            raise DownloadError(f"{url}: the server's Content-Range is malformed") from None
    if not 0 < size <= SIZE_LIMIT:
        raise DownloadError(f"{url}: announces {size} bytes, outside 1 to {SIZE_LIMIT}")
    return Remote(size, version), start


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> Remote | None:
    """What is known of a begun download; None when it cannot be continued safely."""
    try:
        note: Any = json.loads(_note_of(part).read_text())
        remote = Remote(int(note["size"]), str(note["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Weak validators do not promise equal bytes (RFC 9110, 13.1.5).
    usable = remote.version and not remote.version.startswith("W/") and part.is_file()
    return remote if usable else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, out: Path) -> int:
    """Unpack train/NN.Name/*.jpg and test/… into `out`; returns how many photos there are.

    Folders above train and test are dropped, files that are no photos skipped; what is there
    already in the right size is kept. Raises DataError for an archive that reaches outside, holds
    links or encrypted files, or is too large.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = [(m, target) for m in zipped.infolist() if (target := _target(m))]
            if not members:
                raise DataError(f"{archive}: no train/ or test/ photos in it")
            total = sum(member.file_size for member, _ in members)
            if len(members) > COUNT_LIMIT or total > SIZE_LIMIT:
                raise DataError(f"{archive}: {len(members)} photos of {total} bytes are too much")
            for member, target in members:
                _extract(zipped, member, out / target)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{archive}: damaged archive: {error}; remove it to fetch it anew"
        ) from error
    except OSError as error:
        raise DataError(f"{archive}: cannot be unpacked: {error.strerror or error}") from error
    return len(members)


def _target(member: zipfile.ZipInfo) -> PurePosixPath | None:
    """Where a member goes, below the output folder; None for what is no photo of the set."""
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise DataError(f"the archive reaches outside its folder: {member.filename!r}")
    if stat.S_ISLNK(member.external_attr >> 16) or member.flag_bits & 1:
        raise DataError(f"the archive holds a link or an encrypted file: {member.filename!r}")
    parts = path.parts
    starts = [at for at, name in enumerate(parts) if name in _SPLITS]
    is_photo = path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    if not starts or not is_photo or member.is_dir() or "__MACOSX" in parts:
        return None
    below = parts[starts[0] :]
    if len(below) != 3:
        return None
    if member.file_size > MEMBER_LIMIT:
        raise DataError(f"{member.filename!r}: {member.file_size} bytes are too much for a photo")
    return PurePosixPath(*below)


def _extract(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if path.is_file() and path.stat().st_size == member.file_size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as source, atomic_file(path) as file:
        shutil.copyfileobj(source, file)  # zipfile gives no more than the size that was announced


def find_damaged(out: Path) -> dict[str, str]:
    """The unpacked photos that cannot be decoded, with the reasons."""
    damaged = {}
    for path in sorted(p for split in _SPLITS for p in (out / split).glob("*/[!.]*")):
        try:
            with Image.open(path) as image:
                image.load()
        except Exception as error:  # whatever a damaged file makes a decoder raise
            damaged[path.relative_to(out).as_posix()] = str(error)
    return damaged


@click.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", default=URL, show_default=True)
@click.option("--sha256", help="What the archive's SHA-256 must be.")
@click.option("--keep-archive", is_flag=True, help="Do not remove the archive in the end.")
@click.option("--tries", default=5, show_default=True, help="Tries without progress.")
def main(out: Path, url: str, sha256: str | None, keep_archive: bool, tries: int) -> None:
    """Fetch the 50-category landmark set into --out: train/NN.Name/*.jpg, test/NN.Name/*.jpg.

    Run again after an interruption: it goes on where it was. Photos that cannot be decoded are
    listed in damaged.csv, which training takes as --exclude.
    """
    archive = out / "landmark_images.zip"
    try:
        download(url, archive, sha256, tries)
        click.echo(f"{archive}: {archive.stat().st_size} bytes, SHA-256 {_digest(archive)}")
        count = unpack(archive, out)
    except GeotagError as error:
        raise click.ClickException(str(error)) from error
    damaged = find_damaged(out)
    with (out / "damaged.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "reason"))
        writer.writerows((path, "cannot be decoded") for path in damaged)
    click.echo(f"{count} photos in {out}, {len(damaged)} of them damaged (see damaged.csv)")
    if not keep_archive:
        archive.unlink()


if __name__ == "__main__":
    main()
