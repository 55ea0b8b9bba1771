"""How sidecars are named."""

from __future__ import annotations

import os

import pytest

from geotag.files.sidecars import (
    is_sidecar,
    other_case_sidecars,
    own_sidecars,
    shared_sidecars,
    sidecar_names,
)


@pytest.mark.parametrize(
    ("photo", "own", "shared"),
    [
        ("a/IMG.jpg", "a/IMG.jpg.xmp", "a/IMG.xmp"),
        ("a.b/IMG", "a.b/IMG.xmp", "a.b/IMG.xmp"),
        ("s3://b/IMG.1.HEIC", "s3://b/IMG.1.HEIC.xmp", "s3://b/IMG.1.xmp"),
    ],
)
def test_own_names_come_before_shared_ones(photo: str, own: str, shared: str) -> None:
    assert own_sidecars(photo) == (own, own[:-4] + ".XMP", own[:-4] + ".Xmp")
    assert shared_sidecars(photo) == (shared, shared[:-4] + ".XMP", shared[:-4] + ".Xmp")
    names = own_sidecars(photo) + other_case_sidecars(photo) + shared_sidecars(photo)
    assert sidecar_names(photo) == names
    assert sidecar_names(os.fsencode(photo)) == tuple(map(os.fsencode, sidecar_names(photo)))


def test_an_extension_in_other_case_names_a_sidecar_too() -> None:
    names = other_case_sidecars("a/IMG.jpg")
    assert names[0] == "a/IMG.JPG.xmp" and "a/IMG.Jpg.XMP" in names
    assert not set(names) & {*own_sidecars("a/IMG.jpg"), *shared_sidecars("a/IMG.jpg")}
    assert other_case_sidecars("a/IMG") == ()


@pytest.mark.parametrize("name", ["IMG.xmp", "IMG.jpg.XMP", "IMG.Xmp"])
def test_a_sidecar_is_known_by_its_name(name: str) -> None:
    assert is_sidecar(name)
    assert is_sidecar(name.encode())
    assert not is_sidecar(name + ".jpg")
    assert not is_sidecar(name[:-4].encode())
