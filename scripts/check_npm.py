"""Checks what geotag ships that was made of npm packages: version, licence, integrity, content.

python scripts/check_npm.py (needs npm, and a registry that it can reach)

Fetches each package by `npm pack`, compares it with what is noted here, makes the shipped file of
it anew, and tells where npm has a newer version. A test holds the shipped files to these hashes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import click

TOP = Path(__file__).resolve().parents[1]


class Package(NamedTuple):
    """A package of npm, the file of it that is used, and what a script makes of that file."""

    name: str
    version: str
    licence: str
    integrity: str
    source: str
    source_sha256: str
    script: str
    shipped: str
    shipped_sha256: str


PACKAGES = (
    Package(
        "world-atlas", "2.0.2", "ISC",
        "sha512-IXfV0qwlKXpckz1FhwXVwKRjiIhOnWttOskm5CtxMsjgE/MXAYRHWJqgXOpM8IkcPBoXnyTU5lFHcYa5ChG0LQ==",
        "countries-50m.json",
        "04342cdc1e3016bcd7db1630de95684d67b79fe3c8c460321e87aef469502394",
        "scripts/make_world.py",
        "geotag/report/static/world.json",
        "84437256471836a33210442879c4efac6f694e77e340de08de1de549d945f2b9",
    ),
)  # fmt: skip


def sha256_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def faults(package: Package, folder: Path) -> Iterator[str]:
    """Where npm's package, or what is made of it, is not what is noted."""
    packed = json.loads(_npm("pack", f"{package.name}@{package.version}", "--json", at=folder))[0]
    if packed["integrity"] != package.integrity:
        yield f"integrity is {packed['integrity']}"
    with tarfile.open(folder / packed["filename"]) as archive:
        archive.extractall(folder, filter="data")
    content = folder / "package"
    licence = json.loads((content / "package.json").read_text("utf-8")).get("license")
    if licence != package.licence:
        yield f"licence is {licence}"
    if sha256_of(content / package.source) != package.source_sha256:
        yield f"{package.source} is another"
    made = folder / "made"
    command = [sys.executable, str(TOP / package.script), str(content / package.source), str(made)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for path in (made, TOP / package.shipped):
        if sha256_of(path) != package.shipped_sha256:
            yield f"{path} is another than {package.script} made"


def _npm(*arguments: str, at: Path) -> str:
    return subprocess.run(
        ["npm", *arguments], cwd=at, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@click.command(help=__doc__)
def main() -> None:
    """One line a package; exit code 1 where one is not as noted."""
    is_wrong = False
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            found = list(faults(package, Path(folder)))
            newest = json.loads(_npm("view", package.name, "version", "--json", at=Path(folder)))
        newer = "" if newest == package.version else f"; npm has {newest}"
        told = "; ".join(found) or "as noted"
        click.echo(f"{package.name} {package.version} ({package.licence}): {told}{newer}")
        is_wrong |= bool(found)
    sys.exit(int(is_wrong))


if __name__ == "__main__":
    main()
