"""The commands as a shell sees them."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from geotag.cli import COMMANDS, cli, main
from geotag.decoding.emptiness import BLANK
from geotag.errors import GeotagError
from geotag.model.checkpoint import load_checkpoint, save_checkpoint
from geotag.stores import open_store
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd, jpeg_bytes, picture


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run geotag as a process of its own."""
    command = [sys.executable, "-m", "geotag", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run geotag in this process, which is faster: what it prints, and its exit code."""
    given, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(given)
    code = ended.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{name} {parameter.opts}"  # type: ignore[attr-defined]
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output


def test_scan_from_the_shell(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> None:
    write_photo("tower.jpg", "eiffel_tower")
    write_photo("measured.jpg", gps=gps_ifd(10, 20))
    table = tmp_path / "tags.csv"
    result = shell("scan", tmp_path / "photos", "--out", table, "--model", model_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert re.search(r"2 photos: 2 read in .*, 0 known from before", result.stderr)
    assert "1 tagged with a landmark" in result.stderr
    assert [row.status.value for row in read_table(table)] == ["has_gps", "tagged"]
    (tmp_path / "photos" / "tower.jpg").unlink()
    again = run("scan", tmp_path / "photos", "--out", table, "--model", model_path, "--prune")
    assert again.stderr.startswith("1 photo: none read, 1 known from before\n")
    assert "1 no longer there, and forgotten" in again.stderr


def test_a_photo_that_was_touched_is_not_said_to_have_moved(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    photo = write_photo("tower.jpg", "eiffel_tower")
    scan = ["scan", tmp_path / "photos", "--out", tmp_path / "t.csv", "--model", model_path]
    run(*scan)
    os.utime(photo, ns=(1, 1))
    told = run(*scan).stderr
    assert "1 known by their content: only their metadata were read" in told


@pytest.mark.slow
def test_a_model_with_broken_weights_ends_the_scan_and_harms_nothing(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    write_photo("tower.jpg", "eiffel_tower")
    table, broken = tmp_path / "tags.csv", tmp_path / "broken.safetensors"
    arguments = ["scan", tmp_path / "photos", "--out", table, "--model"]
    run(*arguments, model_path)
    before = table.read_bytes()
    checkpoint = load_checkpoint(model_path)
    tensors = {name: np.full_like(value, np.inf) for name, value in checkpoint.tensors.items()}
    save_checkpoint(broken, checkpoint.spec, tensors)
    result = run(*arguments, broken)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "broken.safetensors" in result.stderr and "are no numbers" in result.stderr
    assert table.read_bytes() == before
    assert "none read, 1 known" in run(*arguments, model_path).stderr


def test_quiet_is_quiet(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> None:
    write_photo("measured.jpg", gps=gps_ifd(10, 20))
    out = tmp_path / "t.csv"
    result = run("scan", tmp_path / "photos", "--out", out, "--quiet", "--model", model_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_could_not_be_looked_into_is_named(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = write_photo("a\nb/measured.jpg", gps=gps_ifd(10, 20)).parent
    look = os.scandir

    def scandir(path: bytes) -> object:
        if path == os.fsencode(locked):
            raise PermissionError(errno.EACCES, "no")
        return look(path)

    monkeypatch.setattr("geotag.sources.local.os.scandir", scandir)
    arguments = ["scan", tmp_path / "photos", "--out", tmp_path / "t.csv", "--model", model_path]
    result = CliRunner().invoke(cli, [*map(str, arguments), "--prune"])
    assert "photos/a\\nb: no permission to read it\n" in result.stderr
    assert "nothing is pruned" in result.stderr


def test_standard_output(tmp_path: Path, write_photo: WritePhoto, model_path: Path) -> None:
    write_photo("measured.jpg", gps=gps_ifd(10, 20))
    result = shell("scan", tmp_path / "photos", "--out", "-", "--model", model_path)
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert row["status"] == "has_gps"
    assert sorted(os.listdir(tmp_path)) == ["photos"]


def test_the_summary_names_a_folder_that_is_not_utf8(tmp_path: Path, model_path: Path) -> None:
    folder, summary = os.fsdecode(os.fsencode(tmp_path) + b"/\xff"), tmp_path / "run.json"
    scan = ["scan", folder, "--out", f"{folder}/t.csv", "--summary", summary, "--model", model_path]
    assert run(*scan).returncode == 1
    assert json.loads(summary.read_text("utf-8"))["table"] == f"{folder}/t.csv"
    os.mkdir(folder)
    result = run(*scan)
    assert result.returncode == 0, result.stderr
    assert json.loads(summary.read_text("utf-8"))["table"] == f"{folder}/t.csv"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_summary_that_cannot_be_written_hides_no_other_error(tmp_path: Path) -> None:
    result = run("scan", "/missing", "--out", tmp_path / "t.csv", "--summary", "/dev/full")
    assert result.returncode == 1
    assert "/dev/full: cannot be written" in result.stderr
    assert "/missing: no such file or folder" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "{tmp}/photos"], "photos: cannot be written (it is a folder)"),
        (["--out", "{tmp}/photos.xls"], "photos.xls: the suffix must be one of"),
        (["--out", ""], "an empty name is no file"),
        (["--summary", ""], "an empty name is no file"),
        (["--catalog", ""], "catalog is an empty name"),
        (["--out", "{tmp}/folder.csv"], "folder.csv: cannot be written (it is a folder)"),
        (["--out", "{tmp}/no/t.csv"], "no/t.csv: cannot be written (there is no such folder)"),
        (["--summary", "{tmp}/no/run.json"], "run.json: cannot be written (there is no such"),
        (["--summary", "{tmp}/folder.csv"], "folder.csv: cannot be written (it is a folder)"),
        (["--catalog", "{tmp}/no/t.geotag"], "no/t.geotag"),
        (["--catalog", "{tmp}/folder.csv"], "folder.csv: not a file"),
        (["--catalog", "/dev/null"], "/dev/null: not a file"),
        (["--catalog", "{tmp}/t.txt"], "t.txt: not a geotag catalog"),
        (["--runner", "ray"], "--runner ray needs an optional package: pip install '.[ray]'"),
        (["--engine", "onnx"], "--engine onnx needs an optional package: pip install '.[onnx]'"),
        (["--out", "s3://b/t.csv"], "s3:// needs an optional package: pip install '.[s3]'"),
        (["s3://photos"], "s3:// needs an optional package: pip install '.[s3]'"),
        (["--model", "{tmp}/t.txt"], "t.txt"),
    ],
)
def test_errors_are_told_before_the_first_photo_is_read(
    tmp_path: Path,
    write_photo: WritePhoto,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    """The only photo would make the scan fail with another code."""
    write_photo("a.jpg").write_bytes(b"broken")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "t.txt").write_text("no catalog, no model")
    for package in ("ray", "onnxruntime", "s3fs"):
        monkeypatch.setitem(sys.modules, package, None)
    open_store.cache_clear()
    filled = [option.format(tmp=tmp_path) for option in options]
    arguments = ["scan", str(tmp_path / "photos"), "--out", str(tmp_path / "t.csv"), *filled]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert isinstance(result.exception, GeotagError)
    assert message in str(result.exception)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in left if name != "t.csv.geotag"] == ["folder.csv", "photos", "t.txt"]


def test_exit_code_3_when_a_photo_failed(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    write_photo("a.jpg").write_bytes(b"broken")
    result = run("scan", tmp_path / "photos", "--out", tmp_path / "t.csv", "--model", model_path)
    assert result.returncode == 3
    assert "1 photo: 1 read" in result.stderr and "1 could not be read" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["scan", "/missing", "--out", "{tmp}/t.csv"], 1, "/missing: no such file or folder"),
        (["scan", "", "--out", "{tmp}/t.csv"], 1, "an empty name is no folder"),
        (["scan", "file://", "--out", "{tmp}/t.csv"], 1, "an empty name is no folder"),
        (["scan", "{tmp}", "--out", "{tmp}/t.xls"], 2, "suffix must be one of"),
        (["scan", "{tmp}"], 2, "Missing option '--out'"),
        (["scan", "{tmp}", "--out", "{tmp}/t.csv", "--threshold", "2"], 2, "--threshold"),
        (["scan", "{tmp}", "--out", "{tmp}/no/t.csv"], 1, "no/t.csv"),
        (["scan", "{tmp}", "--out", "{tmp}/t.csv", "--model", "/no"], 1, "no such model file"),
        (["scan", "gopher://x", "--out", "{tmp}/t.csv"], 1, "gopher:// is not supported"),
        (["nonsense"], 2, "No such command"),
        (["predict"], 2, "Missing argument"),
        (["explain", "/no.jpg", "--out", "{tmp}/why.png"], 1, "/no.jpg: no such file"),
        (
            ["serve", "--host", "no.such.invalid", "--model", "{model}"],
            2,
            "cannot answer at no.such.invalid:8321",
        ),
    ],
)
def test_fatal_errors_are_one_line(
    tmp_path: Path, model_path: Path, arguments: list[str], code: int, words: str
) -> None:
    filled = [argument.format(tmp=tmp_path, model=model_path) for argument in arguments]
    if filled[0] == "scan" and "--model" not in filled:
        filled += ["--model", str(model_path)]
    result = run(*filled)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert code == 2 or len(result.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_under_standard_output_is_no_fault_of_geotag() -> None:
    command = [sys.executable, "-m", "geotag", "categories"]
    with open("/dev/full", "wb") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    message = "geotag: standard output: cannot be written (No space left on device)\n"
    assert result.stderr == message


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = shell("--debug", "scan", "/missing", "--out", tmp_path / "t.csv")
    assert "Traceback" in result.stderr


def test_predict_table_and_json(write_photo: WritePhoto, model_path: Path, tmp_path: Path) -> None:
    photo = write_photo("tower.jpg", "eiffel_tower")
    result = run("predict", photo, "-k", 2, "--model", model_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == str(photo)
    assert re.fullmatch(r" +\d+\.\d\d%  Eiffel Tower", result.stdout.splitlines()[1])
    assert len(result.stdout.splitlines()) == 3
    every = run("predict", photo, "-k", 1000, "--json", "--model", model_path)
    assert len(json.loads(every.stdout)["top_k"]) == 3
    blank = tmp_path / "blank.png"
    Image.new("RGB", (300, 200), "white").save(blank)
    shown = run("predict", blank, "--model", model_path).stdout.splitlines()
    assert shown == [str(blank), f"  no landmark: {BLANK}"]
    shown = json.loads(run("predict", blank, "--json", "--model", model_path).stdout)
    assert shown == {"path": str(blank), "top_k": [], "unclassified": BLANK}
    result = run("predict", photo, "/missing.jpg", tmp_path, "--json", "--model", model_path)
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert first["top_k"][0]["slug"] == "eiffel_tower"
    assert "no such file" in second["error"]
    assert "Is a directory" in third["error"]
    assert result.returncode == 3


@pytest.mark.slow
def test_explain(write_photo: WritePhoto, model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    photo = write_photo("tower.jpg", "eiffel_tower")
    before = photo.read_bytes()
    out = tmp_path / "why.png"
    result = run("explain", photo, "--out", out, "--samples", 60, "--model", model_path)
    assert result.returncode == 0, result.stderr
    first, second, third = result.stdout.splitlines()
    assert re.fullmatch(r".*tower\.jpg: Eiffel Tower, \d+\.\d%", first)
    assert re.match(r"\d+ of \d+ parts suffice: confidence \d+\.\d% with these parts alone", second)
    assert third == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")

    for other, words in ((photo, "does not end in .png"), (tmp_path / "a.png", "photo itself")):
        other.write_bytes(before)
        result = run("explain", other, "--out", other, "--model", model_path)
        assert result.returncode == 2
        assert words in result.stderr
        assert other.read_bytes() == before

    grey = write_photo("grey.jpg")
    options = ("--out", out, "--samples", 60, "--landmark", "taj mahal", "--model", model_path)
    result = run("explain", grey, *options)
    assert result.stdout.splitlines() == [f"{grey}: Taj Mahal, 0.0%", str(out)]
    assert "no landmark at all" in result.stderr

    result = run("explain", grey, "--out", out, "--landmark", "Tai Mahal", "--model", model_path)
    assert "no landmark “Tai Mahal”; did you mean “Taj Mahal”?" in result.stderr


def test_serve(model_path: Path) -> None:
    pytest.importorskip("waitress")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "geotag", "serve", "--port", str(port)]
    command += ["--model", str(model_path)]
    photo = jpeg_bytes(picture("taj_mahal", (400, 300)))

    def post(_: int) -> int:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/scan", photo)
        asked.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            status: int = answer.status
        return status

    # What runs the tests may have its children ignore Ctrl-C, as shells do in the background.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        assert address == f"http://127.0.0.1:{port}/"
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b"geotag" in page.read()
        other = run(*command[3:])
        assert other.returncode == 2
        assert "choose another --port" in other.stderr
        with ThreadPoolExecutor(8) as visitors:  # so that several threads have used the network
            assert list(visitors.map(post, range(16))) == [200] * 16
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.communicate()


def test_model_info(model_path: Path) -> None:
    result = run("model", "info", "--model", model_path)
    assert "3 landmarks and the background" in result.stdout
    assert "verified" in result.stdout
    fields = json.loads(run("model", "info", "--json", "--model", model_path).stdout)
    assert fields["provenance"] == {"made by": "tests"}


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    """Interrupted after the first photos, the table holds them, and the next run the rest."""
    for number in range(600):
        write_photo(f"{number:04}.jpg", ("eiffel_tower", "")[number % 2], seed=number % 4)
    table = tmp_path / "tags.csv"
    arguments = ["scan", str(tmp_path / "photos"), "--out", str(table), "--model", str(model_path)]
    arguments += ["--batch-size", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "geotag", *arguments], stderr=subprocess.PIPE, text=True
    )
    _wait_for(Path(f"{table}.geotag"))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert "Traceback" not in messages
    if process.returncode == 130:
        done = len(list(read_table(table)))
        assert f"{600 - done} not read; run the same command again" in messages
    assert run(*arguments).returncode == 0
    assert len({row.path for row in read_table(table)}) == 600


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_library_that_finds_no_memory_is_no_fault_of_geotag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ImportError("libtorch.so: failed to map segment from shared object")

    monkeypatch.setattr("geotag.cli.cli.main", fail)
    with pytest.raises(SystemExit) as caught:
        main(["model", "info"])
    assert caught.value.code == 1
    assert "out of memory" in capsys.readouterr().err
