"""Credentials of buckets come to nobody's sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.cli import main
from tests.conftest import jpeg_bytes, picture
from tests.geotag.conftest import KEY_ID, SECRET, FaultyProxy


def test_credentials_appear_nowhere(
    faults: FaultyProxy, bucket: Path, tmp_path: Path, model_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (bucket / "tower.jpg").write_bytes(jpeg_bytes(picture("eiffel_tower")))
    faults.fault = lambda method, path: 403 if "tower" in path else None
    out = tmp_path / "t.csv"
    for log_format in ("text", "json"):
        with pytest.raises(SystemExit):
            main(["scan", "s3://photos", "--out", str(out), "--model", str(model_path), "-v",
                  "--log-format", log_format, "--summary", str(tmp_path / "s.json")])  # fmt: skip
    texts = "".join(capfd.readouterr()).encode()
    texts += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert KEY_ID.encode() not in texts
    assert SECRET.encode() not in texts


@pytest.mark.parametrize(
    "address",
    [
        "s3://ID:hushhush@bucket/x",
        "ftp://user:hushhush@example.org/x",
        "https://example.org/x?sig=hushhush",
        "nothing://example.org/x#access_token=hushhush",
    ],
)
@pytest.mark.parametrize("place", ["source", "--out", "--catalog", "--summary", "--model"])
def test_an_address_with_credentials_is_refused_and_not_shown(
    tmp_path: Path, model_path: Path, capfd: pytest.CaptureFixture[str], address: str, place: str
) -> None:
    arguments = {"--out": str(tmp_path / "t.csv"), "--summary": str(tmp_path / "s.json"),
                 "--model": str(model_path), "--catalog": str(tmp_path / "c.geotag")}  # fmt: skip
    source = str(tmp_path)
    if place == "source":
        source = address
    else:
        arguments[place] = address + (".csv" if place == "--out" else "")
    options = [word for pair in arguments.items() for word in pair]
    with pytest.raises(SystemExit) as caught:
        main(["scan", source, *options, "--log-format", "json"])
    assert caught.value.code in (1, 2)
    texts = "".join(capfd.readouterr()).encode()
    texts += b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"hushhush" not in texts
