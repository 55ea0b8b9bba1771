"""Tells by a device's photos with whom it was while two people were apart. Pure."""

from __future__ import annotations

from geotag.places.coincidence import HABITS, gains
from geotag.places.estimating import Group
from geotag.places.neighbours import interpolate
from geotag.places.sphere import Floats, metres

# Half of the photos are taken on the visits of whoever it was.
_HABIT = HABITS[3]


def told_apart(utc: Floats, one: Group, other: Group) -> float:
    """How much more (in nats) speaks for one person's company than for another's, by photos of
    known time (sorted UTC) while their positions show that these two were apart: while they are
    together all photos speak for both, and the one who takes more seems likelier."""
    if not len(utc):
        return 0.0
    here, there = (interpolate(group.fixes, utc, group.scales) for group in (one, other))
    apart = metres(here.points, there.points) > here.radius + there.radius
    here_told, there_told = (gains(utc, each.company, (_HABIT,))[0] for each in (one, other))
    return float((here_told - there_told)[apart].sum())
