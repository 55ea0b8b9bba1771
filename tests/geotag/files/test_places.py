"""Where cache and state are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from geotag.files.places import cache_folder, state_folder
from geotag.state.known_catalogs import known_catalogs, remember_catalog


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")


def test_below_the_home_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert cache_folder() == Path("/home/ada/.cache/geotag")
    assert state_folder() == Path("/home/ada/.local/state/geotag")
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast")
    assert cache_folder() == Path("/fast/geotag")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder() == Path("/home/ada/.local/state/geotag")


def test_a_user_of_the_system_list_has_a_home_without_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOME")
    assert cache_folder().is_absolute()


@pytest.mark.parametrize("home", ["", "relative", "~"])
def test_without_a_home_nothing_is_written_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="no home folder"):
        cache_folder()
    remember_catalog(tmp_path / "tags.csv.geotag")
    assert known_catalogs() == []
    assert list(tmp_path.iterdir()) == []
