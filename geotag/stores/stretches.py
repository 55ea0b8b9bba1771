"""Lists a bucket's keys in stretches, several at once, each in order.

A stretch is what begins with a prefix, from a key on. Whoever lists one and sees others idle finds
the next letters that keys have there (one small request each, behind the last letter's keys), keeps
the first part, and leaves the rest to them. So the keys need not be known, nor lie in folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Condition, Thread
from typing import NamedTuple

from geotag.stores.base import Enters, Object, StoreError

LISTERS = 16
LAST = "\U0010ffff"  # none in a key sorts behind it
# Pages that one stretch must have before it is divided, and pages that wait to be taken.
_WORTH_DIVIDING = 3
_WAITING = 48
_LETTERS = 64


class Page(NamedTuple):
    """Some objects of a stretch in order, and the key behind which to go on; `is_last` where there
    are no more."""

    objects: Sequence[Object]
    after: str
    is_last: bool


class Stretch(NamedTuple):
    """The keys that begin with `prefix` and come after `after`."""

    prefix: str
    after: str = ""


class Found(NamedTuple):
    """A page of a stretch, which is told by its number; it may be the last of it. No key of the
    stretch sorts before `after`."""

    number: int
    objects: Sequence[Object]
    after: str
    is_last: bool


ListPage = Callable[[Stretch, int], Page]


def listed_behind(
    page: ListPage, key_of: Callable[[Object], str], size: int, whole: Stretch
) -> Iterator[Found] | None:
    """All that a stretch holds; None where the server does not begin where it is asked to. Raises
    StoreError for what may be otherwise the next time."""
    try:
        page(whole, 1)
    except StoreError as error:
        if error.retry:
            raise
        return None
    return ParallelListing(page, key_of, size).pages(whole)


def declined(key: str, start: int, enters: Enters) -> str:
    """What sorts behind all of the folder that a key lies in and that is not to be entered; empty
    where there is none. The first letters of the key, so many, are passed over."""
    ends = (at for at in range(start, len(key)) if key[at] == "/")
    folder = next((key[:end] for end in ends if not enters(key[:end])), "")
    return f"{folder}/{LAST}" if folder else ""


class _Done(NamedTuple):
    error: StoreError | None


class ParallelListing:
    """The pages of all stretches of one, as they come.

    `page` gives the first objects of a stretch, up to a number of them; `key_of` is an object's
    key. Both are called in threads. StoreError ends the listing.
    """

    def __init__(self, page: ListPage, key_of: Callable[[Object], str], size: int) -> None:
        self._page = page
        self._key_of = key_of
        self._size = size
        self._found: Queue[Found | _Done] = Queue(_WAITING)
        self._changed = Condition()
        self._waiting: list[Stretch] = []
        self._working = 0
        self._stopped = False
        self._number = 0

    def pages(self, first: Stretch) -> Iterator[Found]:
        """Pages of all that a stretch holds; those of a part of it come in order."""
        self._waiting.append(first)
        threads = [Thread(target=self._work, name="listing", daemon=True) for _ in range(LISTERS)]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                found = self._found.get()
                if isinstance(found, Found):
                    yield found
                    continue
                running -= 1
                if found.error is not None:
                    raise found.error
        finally:
            self._stop()
            while running:  # so that none waits for room
                running -= isinstance(self._found.get(), _Done)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _work(self) -> None:
        error = None
        try:
            while (stretch := self._take()) is not None:
                self._list(stretch)
                with self._changed:
                    self._working -= 1
                    self._changed.notify_all()
        except StoreError as failure:
            error = failure
            self._stop()
        self._found.put(_Done(error))

    def _take(self) -> Stretch | None:
        """The next stretch, once there is one; None when all is listed."""
        with self._changed:
            while not self._waiting and self._working and not self._stopped:
                self._changed.wait()
            if self._stopped or not self._waiting:
                return None
            self._working += 1
            return self._waiting.pop(0)

    def _list(self, stretch: Stretch) -> None:
        with self._changed:
            self._number += 1
            number = self._number
        begun, pages = stretch.after or stretch.prefix, 0
        while not self._stopped:
            page = self._page(stretch, self._size)
            pages += 1
            is_divided = not page.is_last and pages >= _WORTH_DIVIDING and self._is_idle()
            rest = stretch._replace(after=page.after)
            parts = self._divided(rest) if is_divided else [rest]
            self._found.put(Found(number, page.objects, begun, page.is_last or len(parts) > 1))
            if page.is_last:
                return
            if len(parts) > 1:
                with self._changed:
                    self._waiting += parts
                    self._changed.notify_all()
                return
            stretch = parts[0]

    def _is_idle(self) -> bool:
        with self._changed:
            return len(self._waiting) + self._working < LISTERS

    def _divided(self, stretch: Stretch) -> list[Stretch]:
        """The same keys in stretches of longer prefixes; one alone where they cannot be told
        apart."""
        while True:
            parts = list(self._letters(stretch))
            if len(parts) != 1:
                return parts or [stretch]
            if len(parts[0].prefix) <= len(stretch.prefix) or self._stopped:
                return parts
            stretch = parts[0]

    def _letters(self, stretch: Stretch) -> Iterator[Stretch]:
        prefix, after = stretch
        at = after if after.startswith(prefix) else ""
        for _ in range(_LETTERS):
            objects = self._page(Stretch(prefix, at or after), 1).objects
            if not objects:
                return
            key = self._key_of(objects[0])
            if len(key) == len(prefix):
                return
            part = prefix + key[len(prefix)]
            yield Stretch(part, after if after.startswith(part) else "")
            at = part + LAST
        yield Stretch(prefix, at)  # so many letters: the rest as it is
