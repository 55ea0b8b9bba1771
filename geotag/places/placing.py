"""Places the photos of a library from what its other photos and tracks tell. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from geotag.places.along import Along, find_along, over, with_own
from geotag.places.apart import told_apart
from geotag.places.clocks import clipped, find_clock, strength_of
from geotag.places.coincidence import Company, thinned
from geotag.places.companions import is_elsewhere, together, tracks_of
from geotag.places.devices import Device, ZoneOffset, devices
from geotag.places.estimating import Estimates, Group, Times, estimate, read_clock
from geotag.places.minutes import is_by_quarters
from geotag.places.neighbours import Fixes, calibrate, sorted_fixes
from geotag.places.sighting import (
    TAKEN_HERE,
    ClockPiece,
    ClockSource,
    Method,
    Placement,
    Places,
    Reason,
    Sighting,
)
from geotag.places.sphere import Floats, Rows, Vectors, metres, to_degrees
from geotag.places.tracks import Segment, lanes
from geotag.records import Location

# A position known less well than this is none.
_RADIUS_LIMIT_M = 25_000.0
_GIVEN_S = 30.0
# By how much (in nats) more must speak for one person's company than for another's; and how much
# for any, the more the more scenes there are.
_MORE, _LEAST, _BY_SCENE, _SCENE_S = 6.0, (-0.5, 3.0), 0.08, 600.0
# Whose company less speaks for is not left out by that alone, where photos taken while people were
# apart do not speak for one of them by so much.
_AS_LIKELY = 2.0
# So much more must speak for another clock than for the offset that a camera recorded.
_MISSET, _MINUTES = 6.0, 1200.0
# So many people with the most photos are asked for; others' pictures come to a library, too.
_PEOPLE = 12
_HOUR_S = 3600.0
Given = Mapping[str, float]


def place_photos(
    library: Iterable[Sighting],
    zone_offset: ZoneOffset,
    segments: Iterable[Segment] = (),
    given: Given | None = None,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Places:
    """A position with its radius, or the reason for none, for each photo without a position.

    `given` is how far the user says that devices' clocks were ahead of local time, in seconds.
    Only photos of which a clock showed a time `within` two (the latter excluded), and those without
    any, are placed, and only clocks at these told; all others are mere evidence.
    """
    evidence = list(library)
    found = devices(evidence, zone_offset)
    given = {d.name: given[d.model] for d in found.values() if given and d.model in given}
    groups = _groups(found, segments, zone_offset)
    placements: dict[str, Placement | Reason] = {}
    clocks: dict[str, tuple[ClockPiece, ...]] = {}
    companions: dict[str, tuple[str, ...]] = {}
    for device in found.values():
        asked = np.arange(*np.searchsorted(device.clock, within))
        if not len(asked):
            continue
        own = [group for group in groups if device.name in group.members]
        pieces, with_whom = (device.pieces, own) if own else _company(device, groups, given)
        company = _merged([group.company for group in with_whom]) if with_whom else None
        clocks[device.name] = clipped(pieces, device, asked, company)
        companions[device.name] = tuple(sorted({m for g in with_whom for m in g.members}))
        placements.update(_place_device(device, asked, pieces, with_whom))
    for each in evidence:
        if each.position is None and each.photo not in placements and _is_asked(each, within):
            placements[each.photo] = _excluded(each)
    return Places(placements, clocks, companions)


def _is_asked(evidence: Sighting, within: tuple[float, float]) -> bool:
    return evidence.clock is None or within[0] <= evidence.clock < within[1]


def _excluded(evidence: Sighting) -> Reason:
    if evidence.kind not in TAKEN_HERE:
        return Reason.KIND
    return Reason.NO_TIME if evidence.clock is None else Reason.NO_DEVICE


def _groups(
    found: Mapping[str, Device], segments: Iterable[Segment], zone_offset: ZoneOffset
) -> list[Group]:
    """Who is with whom, by the positions of devices whose clocks are known, and the tracks of each;
    last the tracks that are nobody's.

    Which devices are together, and so what clocks showed, hangs on no track.
    """
    sources: dict[str, Fixes] = {}
    for device in found.values():
        known = np.isfinite(device.fixed)
        if known.any():
            rows = device.located[known]
            sources[device.name] = sorted_fixes(device.fixed[known], device.points[rows], rows)
    people = [_group(members, found, sources) for members in together(sources)]
    tracks, others = tracks_of([group.fixes for group in people], segments)
    groups = [g._replace(lanes=tuple(lanes(own))) for g, own in zip(people, tracks, strict=True)]
    return groups + ([_of_tracks(others, zone_offset)] if others else [])


def _of_tracks(segments: Iterable[Segment], zone_offset: ZoneOffset) -> Group:
    """Tracks alone, with the local time along them."""
    along = lanes(segments)
    times = np.concatenate([lane.times for lane in along])
    points = np.concatenate([lane.points for lane in along])
    order = np.argsort(times, kind="stable")
    turns = np.unique(np.floor(times[order] / _HOUR_S), return_index=True)[1]
    some = order[turns]
    places = zip(*to_degrees(points[some]), times[some], strict=True)
    ahead = [zone_offset(Location(float(a), float(b)), float(t)) for a, b, t in places]
    zones = Company(times[some], np.array(ahead))
    return _group((), {}, {})._replace(zones=zones, lanes=tuple(along))


def _group(
    members: tuple[str, ...],
    found: Mapping[str, Device],
    sources: Mapping[str, Fixes],
) -> Group:
    phones = [found[name] for name in members]
    names: list[str] = []
    parts: list[tuple[Floats, Floats, Floats, Rows]] = []
    for device in phones:
        fixes = sources[device.name]
        index = np.arange(len(names), len(names) + len(fixes.times))
        names += [device.photos[row] for row in fixes.rows]
        parts.append((fixes.times, fixes.points, device.ahead[fixes.rows], index))
    if not parts:
        parts = [(np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.int64))]
    times, points, ahead, index = (np.concatenate(column) for column in zip(*parts, strict=True))
    fixes = sorted_fixes(times, points, index)
    return Group(
        members,
        fixes,
        Company(fixes.times, ahead[fixes.rows]),
        _photos_of(phones),
        names,
        calibrate(fixes),
        (),
    )


def _photos_of(phones: Sequence[Device]) -> Company:
    """All photos of known time, of devices that are together."""
    if not phones:
        return Company(np.zeros(0), np.zeros(0))
    known = [(device, np.isfinite(device.ahead)) for device in phones]
    return _merged([Company((d.clock - d.ahead)[k], d.ahead[k]) for d, k in known])


def _company(
    device: Device, groups: Sequence[Group], given: Given
) -> tuple[tuple[ClockPiece, ...], list[Group]]:
    """The clock of a device without positions of known time, and the people it may be with.

    People who were elsewhere show by photos of their own while this device was at work: so much
    then speaks against them that they are left out. Nobody's phone is placed without company. The
    likeliest comes first. Tracks that are nobody's tell where no one's own do, and come last.
    """
    people = [group for group in groups if len(group.company.taken)]
    people = sorted(people, key=lambda group: (-len(group.company.taken), group.members))[:_PEOPLE]
    logged = [group for group in groups if not len(group.company.taken) and not device.is_phone]
    is_open = len(device.located) > 0 and not _is_told(device, given)
    along = find_along(device, people + logged) if is_open else None
    if not people:
        return _with_own(device, _told(device, given), logged, along)
    tried = [(*_clock(device, group, given), group) for group in people]
    if along is not None:
        tried = [(p, s + along.strength * (g is along.group), g) for p, s, g in tried]
    tried.sort(key=lambda each: -each[1])
    pieces, strongest, _ = tried[0]
    with_whom = _with_whom(device, pieces, tried)
    if len(with_whom) > 1 and not _is_told(device, given):
        joint = find_clock(device.clock, _merged([group.company for group in with_whom]))
        pieces = joint.pieces if joint.strength > strongest else pieces
    if with_whom and not any(group.lanes for group in with_whom):
        with_whom += [g for g in logged if not is_elsewhere(with_whom[0].fixes, g.lanes)]
    return _with_own(device, pieces, with_whom, along)


def _with_own(
    device: Device,
    pieces: tuple[ClockPiece, ...],
    groups: list[Group],
    along: Along | None,
) -> tuple[tuple[ClockPiece, ...], list[Group]]:
    """What a clock was and the people, with what the device's own positions tell of both: of the
    clock where nothing else does."""
    if along is None:
        return pieces, groups
    known = [piece for piece in pieces if piece.offset is not None]
    rest = [piece for piece in pieces if piece.offset is None]
    pieces = over(known, over(along.pieces, rest))
    own = with_own(along.group, device, pieces)
    return pieces, [own if g is along.group else g for g in groups or [along.group]]


def _with_whom(
    device: Device,
    pieces: Sequence[ClockPiece],
    tried: Sequence[tuple[Sequence[ClockPiece], float, Group]],
) -> list[Group]:
    """The people whom a device may have been with, the likeliest first.

    While two are together whoever takes more photos seems likelier; what is taken while they are
    apart tells whose it is.
    """
    strongest = tried[0][1]
    enough = min(strongest - _MORE, 0.3 * strongest)
    beside = [g for _, strength, g in tried if strength >= max(enough, _least(device, g))]
    if not beside:
        return []
    utc = np.sort(read_clock(device.clock, device.ahead, pieces, beside[0]).utc)
    found = beside[:1]
    for group in (group for _, _, group in tried if group is not beside[0]):
        less = told_apart(utc, beside[0], group)
        if group in beside:
            is_likely = less < _MORE
        else:
            is_likely = less < _AS_LIKELY and strength_of(utc, group.company) >= _LEAST[1]
        found += [group] if is_likely else []
    return found


def _least(device: Device, group: Group) -> float:
    """How much must speak for any company: a camera may be a stranger's, a phone mostly is. Few
    photos tell little."""
    if device.is_phone:
        return _MORE
    low, high = _LEAST
    scenes = min(len(thinned(times, _SCENE_S)) for times in (device.clock, group.company.taken))
    return min(high, low + _BY_SCENE * scenes)


def _is_told(device: Device, given: Given) -> bool:
    """Whether the user or the device itself tells what its clock was."""
    return device.name in given or bool(np.isfinite(device.ahead).any())


def _merged(companies: Sequence[Company]) -> Company:
    """The photos of several people, as of one."""
    taken, ahead = (np.concatenate(column) for column in zip(*companies, strict=True))
    order = np.lexsort((ahead, taken))
    return Company(taken[order], ahead[order])


def _clock(device: Device, group: Group, given: Given) -> tuple[tuple[ClockPiece, ...], float]:
    """What a device's clock was, beside the photos of a group, and how much speaks for these."""
    pieces = _told(device, given)
    if not _is_told(device, given):
        return find_clock(device.clock, group.company)
    utc = read_clock(device.clock, device.ahead, pieces, group).utc
    strength = strength_of(np.sort(utc), group.company)
    if device.name not in given and _is_claimed(device):
        found = find_clock(device.clock, group.company)
        if found.strength > strength + _MISSET and _is_misset(found.pieces, pieces):
            return found
    return pieces, strength


def _told(device: Device, given: Given) -> tuple[ClockPiece, ...]:
    """What the user, or else the device itself, tells of its clock."""
    if device.name not in given:
        return device.pieces
    start, end = (float(device.clock[at]) for at in (0, -1))
    return (ClockPiece(start, end, given[device.name], _GIVEN_S, ClockSource.GIVEN),)


def _is_misset(found: Sequence[ClockPiece], recorded: Sequence[ClockPiece]) -> bool:
    """Whether known offsets differ from a recorded one as zones do, or by minutes."""
    known = [piece.offset for piece in found if piece.offset is not None]
    apart = [one - (two.offset or 0.0) for one in known for two in recorded]
    return bool(known) and all(is_by_quarters(each) or abs(each) < _MINUTES for each in apart)


def _is_claimed(device: Device) -> bool:
    """Whether only what its owner set tells the clock: a camera records the zone that was chosen
    in its menu, also where the hour was set by hand to that of another."""
    is_recorded = all(piece.source is ClockSource.RECORDED for piece in device.pieces)
    return not device.is_phone and is_recorded


def _place_device(
    device: Device, asked: Rows, pieces: Sequence[ClockPiece], groups: Sequence[Group]
) -> dict[str, Placement | Reason]:
    """Those of the photos asked for that have no position.

    Positions of the device's own photos go first: it was where it was, whatever its clock shows.
    Where they tell the clock, they are beside those of the people.
    """
    rows = np.setdiff1d(asked, device.located)
    photos = [device.photos[row] for row in rows]
    clock, ahead = device.clock[rows], device.ahead[rows]
    found = [estimate(group, read_clock(clock, ahead, pieces, group)) for group in groups]
    result = _decided(photos, found)
    if len(device.located) and not any(device.name in group.members for group in groups):
        alone = estimate(_alone(device), Times(clock, np.full(len(rows), 2.0), ()))
        own = _decided(photos, [alone])
        for at in np.flatnonzero(alone.nearby & ~_is_known(pieces, clock)):
            answer = own[photos[at]]
            if isinstance(answer, Placement):
                answer = answer._replace(utc=None)
            result[photos[at]] = answer
    return result


def _is_known(pieces: Sequence[ClockPiece], clock: Floats) -> NDArray[np.bool_]:
    """Whether a clock is known at each reading, if its own positions tell it at any."""
    found = np.zeros(len(clock), np.bool_)
    if any(piece.source is ClockSource.POSITIONS for piece in pieces):
        for piece in pieces:
            found |= (clock >= piece.start) & (clock <= piece.end) & (piece.offset is not None)
    return found


def _alone(device: Device) -> Group:
    """A device by itself, on its own clock."""
    rows = device.located
    fixes = sorted_fixes(device.clock[rows], device.points[rows], rows)
    nothing = np.zeros(len(rows))
    company = Company(nothing, nothing)
    return Group((device.name,), fixes, company, company, device.photos, calibrate(fixes), ())


def _decided(photos: Sequence[str], found: Sequence[Estimates]) -> dict[str, Placement | Reason]:
    """One position for each photo from those of all people whom its device may have been with:
    they must agree.

    Where nothing tells where the likeliest of them was, only a track tells of the others.
    """
    if not found or not photos:
        return dict.fromkeys(photos, Reason.NO_NEIGHBOUR)
    nearby = np.array([each.nearby for each in found])
    is_told = nearby[0] | (nearby & [each.lane >= 0 for each in found]).any(axis=0)
    contradicted = (nearby & [each.contradicted for each in found]).any(axis=0)
    radii = np.where(nearby, [each.radius for each in found], np.inf)
    points = np.array([each.points for each in found])
    best = radii.argmin(axis=0)
    middle = points[best, np.arange(len(photos))]
    radius = np.where(nearby, radii + metres(middle, points), 0.0).max(axis=0)
    is_wide = ~(radius <= _RADIUS_LIMIT_M)
    order = (Reason.NO_NEIGHBOUR, ~is_told), (Reason.CONTRADICTION, contradicted)
    result: dict[str, Placement | Reason] = {}
    open_ones = np.ones(len(photos), np.bool_)
    for reason, holds in (*order, (Reason.WIDE, is_wide)):
        result.update((photos[int(at)], reason) for at in np.flatnonzero(open_ones & holds))
        open_ones &= ~holds
    for number, each in enumerate(found):
        rows = np.flatnonzero(open_ones & (best == number))
        result.update(_placements(photos, rows, each, (middle[rows], radius[rows])))
    return result


def _placements(
    photos: Sequence[str], rows: Rows, found: Estimates, circles: tuple[Vectors, Floats]
) -> Iterator[tuple[str, Placement]]:
    """The photos at some rows, placed in circles by what tells of one group."""
    points, radii = circles
    columns = *to_degrees(points), radii, found.times.utc[rows]
    known, tracked = np.isfinite(found.times.uncertainty[rows]), found.lane[rows] >= 0
    told = zip(
        rows.tolist(), *(each.tolist() for each in columns), known.tolist(), tracked.tolist(),
        found.neighbours(rows), strict=True,
    )  # fmt: skip
    for row, latitude, longitude, radius, utc, is_known, is_tracked, neighbours in told:
        location = Location(round(latitude, 6), round(longitude, 6))
        method = Method.TRACK if is_tracked else Method.NEIGHBOUR
        when = utc if is_known else None
        yield photos[row], Placement(location, round(radius, 1), method, when, neighbours)
