"""How Google Takeout names the JSON file that it puts beside each photo."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import AnyStr

# Names are cut to so many letters before the number and ".json" behind them.
_LONGEST = 46
_SUPPLEMENT = ".supplemental-metadata"
_NUMBERED = re.compile(r"(.+)(\(\d{1,3}\))")
_JSON = re.compile(r"(.+?)(?:\(\d{1,3}\))?\.json", re.DOTALL)
# What Google appends to an edited photo's name, in the languages of its accounts.
EDITED = (
    "edited|effects|bearbeitet|modifi[eé]|modificato|editad[oa]|edytowane|bewerkt|redigerad|"
    "redigeret|muokattu|編集済み|已修改|изменено"
)
_EDITED = re.compile(rf"(.+)-(?:{EDITED})")
_MARKS = ("(", "-")  # without which a name is neither numbered nor edited


def is_takeout(name: AnyStr) -> bool:
    """Whether a file's name may be that of such a JSON file."""
    suffix = name[-5:]
    return suffix == (b".json" if isinstance(suffix, bytes) else ".json")


def takeout_names(photo: AnyStr) -> tuple[AnyStr, ...]:
    """All names of a photo's JSON file, the likeliest first; an edited photo has its original's."""
    if isinstance(photo, bytes):
        return tuple(os.fsencode(name) for name in takeout_names(os.fsdecode(photo)))
    folder, slash, name = photo.rpartition("/")
    return tuple(dict.fromkeys(f"{folder}{slash}{each}" for each, _ in _names(name)))


def last_name(photo: bytes) -> bytes:
    """The last of them in byte order; "" where none can sort behind all of its XMP sidecars."""
    name = photo.rpartition(b"/")[2]
    return max(takeout_names(photo)) if any(mark.encode() in name for mark in _MARKS) else b""


def first_letters(sidecar: bytes) -> bytes:
    """What the names of all its photos that sort behind it begin with."""
    match = _JSON.fullmatch(os.fsdecode(sidecar))
    return os.fsencode(match[1]) if match is not None else sidecar


def is_of(sidecar: str, photo: str, title: str) -> bool:
    """Whether a JSON file of such a name is that of a photo, by the title in it.

    Where its name holds all of the photo's, that tells it; a name that was cut, or that is without
    the photo's extension, may be another's.
    """
    beside = sidecar.rpartition("/")[2]
    titles = [name for each, name in _names(photo.rpartition("/")[2]) if each == beside]
    return any(beside.startswith(name) or _is_named(name, title) for name in titles)


def _is_named(name: str, title: str) -> bool:
    """Whether Takeout makes this name of a title, which it cuts and replaces letters of."""
    stem, whole = _plain(name.rpartition(".")[0] or name), _plain(title)
    titled = _plain(title.rpartition(".")[0] or title)
    is_cut = len(stem) >= _LONGEST and titled.startswith(stem)
    return bool(title) and (is_cut or stem in (titled, whole))


def _names(photo: str) -> Iterator[tuple[str, str]]:
    """Each name of a JSON file, and that of the photo that it is made of."""
    for name, number in _titles(photo):
        for title in (name + _SUPPLEMENT, name, name.rpartition(".")[0]):
            if title:
                yield f"{title[:_LONGEST]}{number}.json", name


def _titles(photo: str) -> Iterator[tuple[str, str]]:
    """The names that a photo may have had before it was numbered or edited, each with its number:
    IMG(1).jpg has IMG.jpg(1).json."""
    stem, dot, suffix = photo.rpartition(".") if "." in photo else (photo, "", "")
    yield photo, ""
    numbered = _NUMBERED.fullmatch(stem)
    if numbered is not None:
        yield numbered[1] + dot + suffix, numbered[2]
    for each, number in ((stem, ""), numbered.groups() if numbered is not None else ("", "")):
        edited = _EDITED.fullmatch(each)
        if edited is not None:
            yield edited[1] + dot + suffix, number
            again = _NUMBERED.fullmatch(edited[1])
            if again is not None:
                yield again[1] + dot + suffix, again[2]


def _plain(text: str) -> str:
    """Without what file systems do not allow, which Takeout replaces."""
    return "".join(letter if letter.isalnum() else "_" for letter in text.casefold())
