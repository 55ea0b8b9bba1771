"""Options from files: which file counts, what is refused, and what `geotag config` lists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from geotag.cli import COMMANDS, cli, main
from geotag.tables import read_table
from tests.conftest import WritePhoto, gps_ifd

HERE = "geotag.toml"


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose settings folder is `settings`, and who works in `here`."""
    for name in ("here", "settings/geotag"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GEOTAG_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "settings" / "geotag" / "geotag.toml"


def config(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "config"], catch_exceptions=False)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_a_file_gives_a_command_its_options_and_the_command_line_counts_more(
    tmp_path: Path, write_photo: WritePhoto, model_path: Path
) -> None:
    write_photo("a.jpg", gps=gps_ifd(1, 2))
    write_photo("b.png", gps=gps_ifd(1, 2))
    Path(HERE).write_text(
        f'[scan]\nout = "from_file.csv"\nmodel = "{model_path}"\nexclude = ["*.png"]\nquiet = true'
    )
    with pytest.raises(SystemExit) as caught:
        main(["scan", str(tmp_path / "photos")])
    assert caught.value.code == 0
    (row,) = read_table(Path("from_file.csv"))
    assert row.path.endswith("a.jpg")
    with pytest.raises(SystemExit):
        main(["scan", str(tmp_path / "photos"), "--out", "given.csv"])
    assert Path("given.csv").exists()


def test_the_file_here_counts_before_the_users_own_and_a_named_one_alone(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write_text('[scan]\ntop-k = 2\nengine = "pytorch"\n[landmarks.add]\ncity = "Rome"')
    Path(HERE).write_text("[scan]\ntop-k = 3\nplaces = true")
    listed = tomllib.loads(config().stdout)
    assert listed["scan"] == {"top-k": "3", "engine": "pytorch", "places": True}
    assert listed["landmarks"]["add"] == {"city": "Rome"}
    named = tmp_path / "named.toml"
    named.write_text("[scan]\ntop-k = 4")
    assert tomllib.loads(config("--config", str(named)).stdout)["scan"] == {"top-k": "4"}
    monkeypatch.setenv("GEOTAG_CONFIG", str(named))
    assert tomllib.loads(config().stdout)["scan"] == {"top-k": "4"}


def test_every_option_is_listed_and_the_listing_is_a_file_of_options() -> None:
    Path(HERE).write_text('[scan]\nexclude = ["é \\u007f\\n*", "b"]\nthreshold = 0.5')
    listing = config().stdout
    for name in COMMANDS:
        assert name == "config" or f"[{name}" in listing
    assert "# min-precision = 0.99  # " in listing and "# prune = false  # " in listing
    Path("again.toml").write_text(listing)
    again = config("--config", "again.toml").stdout
    assert tomllib.loads(again) == tomllib.loads(listing)
    assert tomllib.loads(listing)["scan"]["exclude"] == ["é \x7f\n*", "b"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[scan]\nthreshhold = 1", "[scan] has no option threshhold; did you mean threshold?"),
        ("[skan]\ntop-k = 1", "[skan] is no command of geotag; did you mean scan?"),
        ("scan = 1", "scan is a command; write it as [scan]"),
        ("[scan]\nthreshold = 2", "[scan] threshold: 2.0 is not in the range 0<=x<=1."),
        ('[scan]\nprune = "yes"', "[scan] prune must be true or false, not 'yes'"),
        ("[scan]\ntop-k = [1]", "[scan] top-k must be one text or number, not a list"),
        ('[scan]\nmax-time = "soon"', "[scan] max-time: 'soon' is not a time"),
        (
            "[scan]\nlimit = 0x1" + "0" * 5000,
            "[scan] limit must be one text or number, not a number of more",
        ),
        (
            "[scan]\nprune = 0x1" + "0" * 5000,
            "[scan] prune must be true or false, not a number of more",
        ),
        ('[scan]\ncatalog = "a\\u0000"', "[scan] catalog must be a text without NUL characters"),
        ("[scan]\ntop-k = ", "not valid TOML"),
        ("x = " + "[" * 100_000, "not valid TOML"),
        ("# " + "x" * 2**20, "larger than 1 MiB"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_and_the_option(
    text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(HERE).write_text(text)
    error = refusal(capsys, "scan", ".", "--out", "x.csv")
    assert error.startswith("geotag: geotag.toml: ") and why in error
    assert error.count("\n") == 1


def test_a_file_that_others_may_have_written_is_not_read() -> None:
    Path(HERE).write_text("[scan]\ntop-k = 3")
    os.chmod(HERE, 0o666)
    result = config()
    assert "\ntop-k = " not in result.stdout
    assert "other users may have written it" in result.stderr
    assert "\ntop-k = " in config("--config", HERE).stdout


def test_what_is_no_file_is_neither_waited_for_nor_read() -> None:
    os.mkfifo(HERE)
    assert "\ntop-k = " not in config().stdout
    os.remove(HERE)
    os.symlink("/dev/zero", HERE)
    assert "other users may have written it" in config().stderr
    os.remove(HERE)
    os.symlink("nowhere", HERE)
    assert config().stderr == ""


@pytest.fixture
def shell_path(tmp_path: Path) -> str:
    """A PATH on which geotag is this checkout's."""
    script = tmp_path / "bin" / "geotag"
    script.parent.mkdir()
    top = Path(__file__).resolve().parents[3]
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{top}" exec "{sys.executable}" -m geotag "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    "words",
    [
        "scan", "scan photos --out", "report tags.csv --out", "convert", "merge", "why", "predict",
        "explain", "landmarks add Hut",
    ],
)  # fmt: skip
def test_a_shell_completes_files_and_folders(words: str) -> None:
    complete = ShellComplete(cli, {}, "geotag", "_GEOTAG_COMPLETE")
    assert [item.type for item in complete.get_completions(words.split(), "ph")] == ["file"]


@pytest.mark.slow
def test_bash_completes_commands_and_options(
    tmp_path: Path, shell_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", shell_path)
    data = tmp_path / "data"
    subprocess.run(
        ["geotag", "completion", "bash", "--install"],
        check=True,
        env={**os.environ, "XDG_DATA_HOME": str(data)},
    )
    script = data / "bash-completion" / "completions" / "geotag"
    for words, expected in ((("geotag", "sc"), "scan"), (("geotag", "scan", "--pru"), "--prune")):
        code = (
            f"source {script}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
            '_geotag_completion geotag; echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_with_the_whole_help_and_the_whole_name(
    tmp_path: Path, shell_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", shell_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Nile, 2025").mkdir()
    subprocess.run(["geotag", "completion", "fish", "--install"], check=True)

    def completed(words: str) -> str:
        command = ["fish", "-c", f"complete -C '{words}'"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert ".parquet, .geojson; for maps .kml, .gpx; FOLDER/" in completed("geotag scan --out")
    assert "Nile, 2025/" in completed("geotag scan Ni")
