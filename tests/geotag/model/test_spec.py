"""A model's description: thresholds found, nonsense refused, there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag.errors import CheckpointError
from geotag.model.spec import ModelSpec, Prefilter, ScoreShares, Threshold, format_spec, parse_spec
from geotag.recognition.thresholds import threshold_at
from geotag.records import OwnCategory

SPEC = ModelSpec(
    "mobilenet_v2", 224, "squash", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), ("a", "b"), 1.5,
    (Threshold(0.95, 0.5), Threshold(0.99, 0.8)), {"seed": 1},
)  # fmt: skip
OWN = OwnCategory(1_000_000, "own_village_church", "Village Church", 47.5, 8.25, 300.0, "Dorf")
OWN_SPEC = SPEC._replace(categories=("a", "b", OWN.slug), own_categories=(OWN,))


def test_thresholds() -> None:
    assert SPEC.threshold_for(0.99) == 0.8
    assert SPEC.threshold_for(0.9) == 0.5
    with pytest.raises(CheckpointError, match=r"0\.999"):
        SPEC.threshold_for(0.999)


def test_the_prefilter_follows_the_threshold_in_use() -> None:
    spec = SPEC._replace(prefilter=Prefilter(48, (Threshold(0.95, 0.05), Threshold(0.99, 0.2))))
    assert spec.prefilter_for(0.8) == 0.2
    assert spec.prefilter_for(0.95) == 0.2
    assert spec.prefilter_for(0.6) == 0.05
    assert spec.prefilter_for(0.49) == 0.0
    assert SPEC.prefilter_for(0.8) == 0.0
    assert parse_spec(format_spec(spec)) == spec
    assert "glance" not in format_spec(SPEC)


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": 0},
        {"input_size": 10**6},
        {"temperature": 0},
        {"temperature": float("1e400")},
        {"std": [0, 1, 1]},
        {"mean": [0, 1]},
        {"categories": []},
        {"categories": ["a", "a"]},
        {"fit": "stretch"},
        {"architecture": 7},
        {"format": 99},
    ],
    ids=str,
)
def test_nonsense_specs_are_refused(change: dict[str, object]) -> None:
    fields = json.loads(format_spec(SPEC)) | change
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_spec(json.dumps(fields))


def test_own_categories_come_back() -> None:
    nowhere = OwnCategory(1_000_007, "own_oak", "Oak")
    spec = OWN_SPEC._replace(categories=(*OWN_SPEC.categories, "own_oak"))
    spec = spec._replace(own_categories=(OWN, nowhere))
    assert parse_spec(format_spec(spec)) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"id": 5},
        {"id": True},
        {"slug": "village_church"},
        {"slug": "own_other"},
        {"name": ""},
        {"name": "a\nb"},
        {"latitude": 95},
        {"latitude": None},
        {"radius_m": 0},
        {"country_code": "XX"},
        {"more": 1},
    ],
    ids=str,
)
def test_nonsense_own_categories_are_refused(change: dict[str, object]) -> None:
    fields = json.loads(format_spec(OWN_SPEC))
    fields["own_categories"][0] |= change
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_spec(json.dumps(fields))


# Whatever JSON can hold, and Python's json reads: no numbers, numbers of any size, half of a pair.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([2**70, -(2**70), 10**400, 1e300, "", "a", "\ud800", "\n", "squash", 1, 0.5])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
FULL = OWN_SPEC._replace(
    prefilter=Prefilter(48, (Threshold(0.99, 0.2),), "lenet", 1, 0.01, 1),
    shares=ScoreShares((0.4, 0.9), (0.9, 0.7), (0.3, 0.01), 0.1),
)


def _places(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path to each value in a JSON document."""
    if path:
        yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _places(value, (*path, key))
    elif isinstance(document, list):
        for at, value in enumerate(document):
            yield from _places(value, (*path, at))


PLACES = list(_places(json.loads(format_spec(FULL))))


@given(path=st.sampled_from(PLACES), value=ANYTHING)
@settings(max_examples=20 * settings.default.max_examples)
def test_any_value_in_any_field_is_read_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    document: Any = json.loads(format_spec(FULL))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        spec = parse_spec(json.dumps(document))
    except ValueError:
        return
    assert 1 <= spec.input_size <= 1024 and all(0 < s < float("inf") for s in spec.std)
    assert 0 <= spec.prefilter_for(0.9) <= 1
    if spec.shares is not None:
        assert threshold_at(0.1, spec.shares, 0.9, 0.99) >= 0.9
    if "provenance" not in path:  # which is the trainer's, kept as it is and shown nowhere
        assert parse_spec(format_spec(spec)) == spec


@pytest.mark.parametrize("path", PLACES, ids=str)
def test_a_field_that_is_missing_is_refused_or_has_a_default(path: tuple[str | int, ...]) -> None:
    document: Any = json.loads(format_spec(FULL))
    place = document
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with suppress(ValueError):
        parse_spec(json.dumps(document))
