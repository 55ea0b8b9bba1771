"""What geotag ships of others' work is what scripts/check_npm.py compares with npm."""

from __future__ import annotations

from check_npm import PACKAGES, TOP, sha256_of

# The pages' own files: what is of another kind was made by others.
OWN = {".html", ".css", ".js", ".svg"}


def test_shipped_files_are_those_that_were_made_of_the_pinned_packages() -> None:
    shipped = {path for path in TOP.glob("geotag/*/static/*") if path.suffix not in OWN}
    assert shipped == {TOP / package.shipped for package in PACKAGES}
    for package in PACKAGES:
        assert sha256_of(TOP / package.shipped) == package.shipped_sha256
        assert (TOP / package.script).is_file()
        assert package.integrity.startswith("sha512-")
