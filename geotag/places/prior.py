"""What the place of a photo makes of the landmarks that the network saw in it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from geotag.places.distance import distance_m
from geotag.places.sighting import Placement
from geotag.records import Landmark, Location, Prediction

# However sure it is, the network takes something for a landmark once in so many photos.
_MISTAKEN = 0.005
# So much more often than by itself does a photo show a landmark that stands nearby.
_NEARBY = 5.0
# In so many cases the position is wrong altogether, and the landmark happens to be where it is not.
_MISPLACED = 0.0005
# From beyond its own radius a landmark is seen ever more rarely, and from so far away not at all.
_SIGHT_M = 30_000.0
_ALMOST = 1 - 1e-9  # of what is computed in another order


def weight(landmark: Landmark, placement: Placement) -> float:
    """How much oftener, or rarer, than elsewhere a photo that was taken there shows a landmark.

    1 for a landmark whose position is not known.
    """
    if landmark.latitude is None or landmark.longitude is None:
        return 1.0
    away = distance_m(placement.location, Location(landmark.latitude, landmark.longitude))
    edge = (landmark.radius_m or 0.0) + placement.radius_m
    if away > edge + _SIGHT_M:
        return _MISPLACED
    return max(_MISPLACED, _NEARBY * min(1.0, edge / max(away, 1.0)))


def can_reach(prediction: Prediction, least: float) -> bool:
    """Whether there is any place where the probability may come to so much."""
    best = (1 - _MISTAKEN) * _NEARBY * prediction.top[0].confidence
    listed = sum(score.confidence for score in prediction.top)
    other = (1 - _MISTAKEN) * max(0.0, 1 - listed) + _MISTAKEN
    return best >= _ALMOST * least * (best + other) or prediction.top[0].confidence >= least


def probability(
    prediction: Prediction, placement: Placement, landmark_of: Callable[[str], Landmark]
) -> float:
    """The probability that a photo shows the landmark that its picture most looks like.

    By Bayes' rule: the calibrated probabilities by the picture alone, those of the landmarks (and
    of none, which may be anywhere) weighed by where the photo was taken. What the prediction does
    not list counts as none of them. A position that speaks for the landmark never lowers it.
    """
    weights = [weight(landmark_of(score.slug), placement) for score in prediction.top]
    shares = [
        (1 - _MISTAKEN) * score.confidence * each
        for score, each in zip(prediction.top, weights, strict=True)
    ]
    listed = sum(score.confidence for score in prediction.top)
    other = (1 - _MISTAKEN) * max(0.0, 1 - listed) + _MISTAKEN
    found = shares[0] / (sum(shares) + other)
    best = prediction.top[0]
    return max(found, best.confidence) if weights[0] >= 1 else found
