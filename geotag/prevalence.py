"""How many of a library's photos show a known landmark, told by their scores. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Number = TypeVar("Number", float, NDArray[np.float64])

# The share of photos with a known landmark that the thresholds are for, and that of the photos to
# which the probabilities are calibrated.
USUAL_SHARE, CALIBRATED_SHARE = 0.5, 0.78
LEAST_PHOTOS = 200  # from which a share is estimated
_PRIOR_PHOTOS = 20
_MOST_ROUNDS = 1000
_NOT_ZERO = 1e-300


def estimate_prevalence(
    landmark_probabilities: Sequence[float] | NDArray[np.float64],
    calibrated: float = CALIBRATED_SHARE,
) -> float:
    """The share of photos that show a known landmark, from the probabilities that each does.

    These hold where a share `calibrated` of the photos do; the share that makes them likeliest is
    found by expectation and maximisation (Saerens, Latinne and Decaestecker, "Adjusting the outputs
    of a classifier to new a priori probabilities", 2002), the usual share weighing as much as a few
    more photos. USUAL_SHARE where there are too few photos to tell. Two digits of it: more would
    change from night to night.
    """
    if len(landmark_probabilities) < LEAST_PHOTOS:
        return USUAL_SHARE
    import numpy as np

    shown = np.asarray(landmark_probabilities, np.float64)
    count, found = len(shown) + _PRIOR_PHOTOS, USUAL_SHARE
    for _ in range(_MOST_ROUNDS):
        before, expected = found, float(adjust(shown, shown, found, calibrated).sum())
        found = (expected + _PRIOR_PHOTOS * USUAL_SHARE) / count
        if abs(found - before) < 1e-7:
            break
    return float(f"{found:.2g}")


def adjust(confidence: Number, shown: Number, prevalence: float, before: float) -> Number:
    """A confidence, of a photo that shows any landmark with the probability `shown`, where the
    share of landmarks is `prevalence` and not `before`; numbers, or arrays of the same shape."""
    gain, loss = prevalence / before, (1 - prevalence) / (1 - before)
    return confidence * gain / (shown * gain + (1 - shown) * loss + _NOT_ZERO)
