"""Keys listed in stretches side by side: each once, whatever they look like."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotag.stores.base import Object, StoreError
from geotag.stores.stretches import Page, ParallelListing, Stretch

KEYS = st.lists(st.text("ab/0é.\U0001f600", min_size=1, max_size=7), max_size=200, unique=True)


class Store:
    """Pages of keys, as a bucket gives them."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.requests = 0

    def page(self, stretch: Stretch, size: int) -> Page:
        self.requests += 1
        start = bisect_right(self.keys, stretch.after)
        below = [key for key in self.keys[start:] if key.startswith(stretch.prefix)]
        objects = [Object(key, 1, "e") for key in below[:size]]
        last = objects[-1].uri if objects else stretch.after
        return Page(objects, last, len(below) <= size)


def listing(store: Store, size: int) -> ParallelListing:
    return ParallelListing(store.page, lambda found: found.uri, size)


@settings(max_examples=40)
@given(KEYS, st.integers(1, 5), st.text("ab", max_size=1))
def test_each_key_comes_once_and_in_order_in_its_stretch(
    keys: list[str], size: int, after: str
) -> None:
    store, seen = Store(keys), Counter[str]()
    reached: dict[int, str] = {}
    ended = set()
    for found in listing(store, size).pages(Stretch("", after)):
        assert found.number not in ended
        for item in found.objects:
            assert item.uri > reached.get(found.number, "") and item.uri >= found.after
            reached[found.number] = item.uri
            seen[item.uri] += 1
        if found.is_last:
            ended.add(found.number)
    assert seen == Counter(key for key in keys if key > after)
    assert ended >= reached.keys()


def test_many_keys_are_divided_even_where_they_lie_in_no_folders() -> None:
    store = Store([f"IMG_{number:06d}.jpg" for number in range(3000)])
    pages = list(listing(store, 10).pages(Stretch("")))
    assert len({page.number for page in pages}) >= 10
    assert store.requests < 3 * len(store.keys) / 10


def test_an_error_ends_it() -> None:
    store = Store([f"{number:06d}" for number in range(3000)])

    def failing(stretch: Stretch, size: int) -> Page:
        if store.requests > 100:
            raise StoreError("no more")
        return store.page(stretch, size)

    with pytest.raises(StoreError, match="no more"):
        list(ParallelListing(failing, lambda found: found.uri, 10).pages(Stretch("")))


def test_it_can_be_left_before_its_end() -> None:
    pages = listing(Store([f"{number:06d}" for number in range(5000)]), 10).pages(Stretch(""))
    assert next(pages).objects
    pages.close()  # type: ignore[attr-defined]
