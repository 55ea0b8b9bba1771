"""How Google Takeout names the JSON files beside photos."""

from __future__ import annotations

import os

import pytest

from geotag.files.takeout import is_of, is_takeout, takeout_names

SHOT, UUID = "Screenshot_2017-07-05-10-05-26", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66"
A, B = "Ferien in Knaufspesch in der Schneifel (3)", "Ferien in Knaufspesch in der Schneifel (38)"
LONG = "original_1d4caa6f-16c6-4c3d-901b-9387de10e528_"  # 46 letters


@pytest.mark.parametrize(
    ("photo", "sidecar"),
    [
        ("IMG_1234.jpg", "IMG_1234.jpg.json"),
        ("IMG_1234.jpg", "IMG_1234.jpg.supplemental-metadata.json"),
        ("IMG_1234.jpg", "IMG_1234.json"),
        ("IMG_1234(1).jpg", "IMG_1234.jpg(1).json"),
        ("IMG_1234(1).jpg", "IMG_1234.jpg.supplemental-metadata(1).json"),
        ("IMG_1234(1).jpg", "IMG_1234(1).jpg.json"),
        ("IMG_1234-edited.jpg", "IMG_1234.jpg.json"),
        ("IMG_1234-bearbeitet(2).jpg", "IMG_1234.jpg(2).json"),
        ("IMG_1234(2)-edited.jpg", "IMG_1234.jpg(2).json"),
        (f"{SHOT}.png", f"{SHOT}.png.supplementa.json"),
        (f"{UUID}.jpeg", f"{UUID}.jpeg.supp.json"),
        (f"{A}.JPG", f"{A}.JPG.json"),
        (f"{B}.JPG", f"{B}.JP.json"),
        (f"{LONG}P.jpg", f"{LONG}.json"),
        (f"{LONG}P(1).jpg", f"{LONG}(1).json"),
        ("é" * 44 + ".jpg", "é" * 44 + ".j.json"),
    ],
)  # fmt: skip
def test_the_names_of_a_photos_json_file(photo: str, sidecar: str) -> None:
    assert sidecar in takeout_names(photo) and is_takeout(sidecar)
    in_folder = takeout_names(os.fsencode(f"s3://b/a.b/{photo}"))
    assert os.fsencode(f"s3://b/a.b/{sidecar}") in in_folder
    assert len(set(takeout_names(photo))) == len(takeout_names(photo)) <= 12


@pytest.mark.parametrize(
    ("sidecar", "photo", "title", "same"),
    [
        ("IMG_1.jpg.json", "IMG_1.jpg", "", True),
        ("IMG_1.jpg.json", "IMG_1.jpg", "renamed by hand", True),
        ("IMG_1.jpg.supplemental-metadata(1).json", "IMG_1(1).jpg", "", True),
        ("IMG_1.json", "IMG_1.jpg", "", False),  # which may be any program's
        ("IMG_1.json", "IMG_1.jpg", "IMG_1", True),
        ("IMG_1.json", "IMG_1.jpg", "IMG_1.jpg", True),
        ("IMG_1.json", "IMG_1.jpg", "IMG_2.jpg", False),
        ("a_b.json", "a_b.jpg", "a&b", True),
        (f"{LONG}.json", f"{LONG}P.jpg", f"{LONG}P.jpg", True),
        (f"{LONG}.json", f"{LONG}P.jpg", f"{LONG}J.jpg", False),
        (f"{LONG}(1).json", f"{LONG}P(1).jpg", f"{LONG}P.jpg", True),
        (f"{LONG}.json", f"{LONG}P(1).jpg", f"{LONG}P.jpg", False),  # the one before it
        (f"{LONG}.json", f"{LONG}P.jpg", f"{LONG}Panorama of the bay.jpg", True),
        ("IMG_1.jpg.json", "IMG_2.jpg", "IMG_2.jpg", False),
    ],
)
def test_a_cut_name_is_a_photos_by_its_title(
    sidecar: str, photo: str, title: str, same: bool
) -> None:
    assert is_of(f"/a/{sidecar}", f"/a/{photo}", title) is same
