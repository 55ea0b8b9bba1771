"""What a scan need not load, it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import WritePhoto, gps_ifd

_SCAN = """
import sys
from geotag.options import ScanOptions
from geotag.pipeline import scan_library
scan_library([sys.argv[1]], sys.argv[2], ScanOptions(model=sys.argv[3]))
print(*sorted(sys.modules))
"""


def _modules_of_a_scan(folder: Path, model: Path) -> set[str]:
    code = _SCAN.replace("sys.argv[3]", "__import__('pathlib').Path(sys.argv[3])")
    command = [sys.executable, "-c", code, str(folder), str(folder.parent / "t.csv"), str(model)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_a_geotagged_library_is_read_without_the_network(
    write_photo: WritePhoto, model_path: Path
) -> None:
    for number in range(3):
        path = write_photo(f"{number}.jpg", gps=gps_ifd(48.8584, 2.2945))
    loaded = _modules_of_a_scan(path.parent, model_path)
    heavy = {"torch", "numpy", "pandas", "PIL", "openvino", "onnxruntime", "pyarrow"}
    assert not loaded & heavy


def test_a_photo_without_a_position_needs_it(write_photo: WritePhoto, model_path: Path) -> None:
    folder = write_photo("a.jpg", "eiffel_tower").parent
    assert {"numpy", "PIL"} <= _modules_of_a_scan(folder, model_path)
