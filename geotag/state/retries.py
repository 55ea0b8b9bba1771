"""When a photo that could not be read for the time being is tried again. Pure."""

from __future__ import annotations

# The next scan tries again at once, later ones only when
# a minute, two, four ... have passed, but a nightly run always does.
_FIRST_WAIT = 60
LONGEST_WAIT = 20 * 3600
MOST_ATTEMPTS = 1000


def back_off(attempts: int) -> float:
    """Seconds until a photo that failed so many times in a row is tried again."""
    if attempts <= 1:
        return 0
    return min(_FIRST_WAIT * 2.0 ** min(attempts - 2, 30), LONGEST_WAIT)
