"""Scores, and what a tag takes in a library, to a tag, "uncertain" or "no landmark". Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from geotag.errors import EngineError
from geotag.files.paths import format_path
from geotag.places.prior import can_reach, probability
from geotag.places.sighting import Method, Placement, Reason
from geotag.places.telling import tell, tell_why_not
from geotag.places.vicinity import METHOD as VICINITY
from geotag.places.vicinity import find_vicinity
from geotag.records import (
    Landmark,
    Location,
    Outcome,
    Prediction,
    Reading,
    Score,
    Status,
    TopCategory,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DECISION_VERSION = 3  # another one makes other rows of the same readings
TOP_K_LIMIT = 10
_NO_LANDMARK_BELOW = 0.5
_DIGITS = 5
_LANDMARK = "landmark"
# Before what a tag rests on beside the picture, where that alone would be too unsure.
SUPPORTED = "supported by where it was taken:"
_PLACEABLE = (Status.UNCERTAIN, Status.NO_LANDMARK)


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Logits (N, K + 1), background last, to calibrated probabilities of each.

    The softmax of logits / temperature (Guo et al. 2017) over the categories and the background,
    so a photo of no landmark has low ones throughout. Raises EngineError where one is no number.
    """
    import numpy as np

    scaled = logits.astype(np.float64) / temperature
    if not np.isfinite(scaled).all():
        raise EngineError(
            "the model gives scores that are not numbers: its weights are broken, or too large for "
            "the --dtype it runs in; choose another --model or --dtype float32"
        )
    scaled -= scaled.max(axis=1, keepdims=True)
    scores: NDArray[np.float64] = np.exp(scaled)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def parse_scores(
    logits: NDArray[np.float32], slugs: Sequence[str], temperature: float, top_k: int = TOP_K_LIMIT
) -> list[Prediction]:
    """Logits (N, K + 1), background last, to predictions with calibrated confidences."""
    import numpy as np

    scores = probabilities(logits, temperature)
    # Stable, so that equal confidences keep the order of the categories.
    order = np.argsort(-scores[:, :-1], axis=1, kind="stable")[:, :top_k]
    return [
        Prediction(
            tuple(Score(slugs[at], round(float(row[at]), _DIGITS)) for at in best),
            round(float(1.0 - row[-1]), _DIGITS),
        )
        for row, best in zip(scores, order, strict=True)
    ]


class Thresholds(NamedTuple):
    """The confidence from which a landmark is tagged in one library: that of each of which the
    library tells something, and that of all others; infinite where none is enough.

    `share` is that of the photos that show any landmark, as far as it was estimated.
    """

    others: float
    landmarks: Mapping[str, float] = MappingProxyType({})
    share: float | None = None

    def of(self, slug: str) -> float:
        """That of a landmark."""
        return self.landmarks.get(slug, self.others)


class Evidence(NamedTuple):
    """What is known of a photo beside its own reading.

    `is_cleared` says that the user cleared its landmark: it has none, whatever the network saw.
    `placement` is where the rest of the library, or a track, says that it was taken, or why those
    do not tell.
    """

    is_cleared: bool = False
    placement: Placement | Reason | None = None


_NO_EVIDENCE = Evidence()


class Decider(NamedTuple):
    """Turns readings into the table's rows: one model, one threshold, one landmark table.

    `here` are the thresholds of the library, where they are higher.
    """

    threshold: float
    top_k: int
    model: str
    category_of: Callable[[str], Landmark]
    here: Thresholds = Thresholds(0.0)

    @property
    def takes(self) -> tuple[float, Thresholds]:
        """What a tag takes: of any library, and of this one."""
        return self.threshold, self.here

    def outcome(self, reading: Reading, evidence: Evidence = _NO_EVIDENCE) -> Outcome:
        """Exactly one row for a reading. A measured position is kept, whatever the network saw."""
        metadata, prediction, failure = reading.metadata, reading.prediction, reading.failure
        location = metadata.location
        can_infer = location is None and not metadata.position_unclear
        placement = evidence.placement if can_infer else None
        status, category = self._decide(reading, evidence._replace(placement=placement))
        inferred = category if can_infer else None
        where = location or inferred
        outcome = Outcome(
            path=format_path(reading.photo.uri),
            status=status,
            latitude=where.latitude if where else None,
            longitude=where.longitude if where else None,
            altitude=location.altitude if location else None,
            position_source=_position_source(location, inferred),
            radius_m=inferred.radius_m if inferred else None,
            landmark=category.name if category else "",
            category_id=category.id if category else None,
            confidence=self._confidence(prediction, placement) if prediction and category else None,
            city=category.city if category else "",
            country=category.country if category else "",
            taken_at=metadata.taken_at or "",
            camera=metadata.camera or "",
            top_k=self._top_k(prediction),
            model=self.model if prediction is not None else "",
            error=failure.reason if failure else metadata.position_unclear,
            method=_LANDMARK if inferred and inferred.latitude is not None else "",
            evidence=_why_unclassified(status, prediction) or self._why_unsure(status, prediction),
        )
        if status is Status.UNCERTAIN and can_infer and not reading.prefilter and prediction:
            outcome = self._with_vicinity(outcome, prediction)
        return outcome if placement is None else self._with_placement(outcome, reading, placement)

    def _with_vicinity(self, outcome: Outcome, prediction: Prediction) -> Outcome:
        """A row with the place, where that is sure and which of its landmarks it shows is not."""
        found = find_vicinity(prediction, self.category_of, self._least(prediction))
        if found is None:
            return outcome
        return outcome._replace(
            status=Status.PLACED,
            latitude=found.location.latitude,
            longitude=found.location.longitude,
            position_source="inferred",
            radius_m=found.radius_m,
            city=found.city,
            country=found.country,
            method=VICINITY,
            evidence=f"shows {' or '.join(found.names)}: not sure which",
        )

    def _with_placement(
        self, outcome: Outcome, reading: Reading, placement: Placement | Reason
    ) -> Outcome:
        """A row with what the rest of the library says, where that says anything new."""
        if isinstance(placement, Reason):
            if outcome.status not in _PLACEABLE:
                return outcome
            why = tell_why_not(placement)
            return outcome._replace(
                evidence=f"{outcome.evidence}; {why}" if outcome.evidence else why
            )
        if outcome.status is Status.PLACED:
            return outcome._replace(
                latitude=placement.location.latitude,
                longitude=placement.location.longitude,
                position_source="inferred",
                radius_m=placement.radius_m if placement.method is not Method.SIDECAR else None,
                method=placement.method.value,
                evidence=tell(placement, reading.photo.uri),
                utc=_format_utc(placement.utc),
            )
        told = tell(placement, reading.photo.uri)
        here = f"{placement.location.latitude:.5f}, {placement.location.longitude:.5f}"
        if outcome.status is Status.CONFLICT and reading.prediction is not None:
            seen = self.category_of(reading.prediction.top[0].slug)
            said = f"seems to show {seen.name}, but was taken near {here}: {told}"
            return outcome._replace(evidence=said)
        prediction = reading.prediction
        is_sure = prediction is None or self._is_sure(prediction)
        if outcome.status is Status.TAGGED and not is_sure:
            return outcome._replace(evidence=f"{SUPPORTED} {told}")
        if outcome.status is Status.TAGGED and placement.method is Method.SIDECAR:
            return outcome._replace(evidence=f"taken near {here}: {told}")
        return outcome

    def _decide(self, reading: Reading, evidence: Evidence) -> tuple[Status, Landmark | None]:
        """The status and the landmark; a photo with a position may have a landmark as well."""
        has_position = reading.metadata.location is not None
        if reading.prediction is None or reading.is_outdated:
            status, category = Status.UNREADABLE, None
        elif evidence.is_cleared:
            status, category = Status.NO_LANDMARK, None
        else:
            status, category = self._recognise(reading.prediction)
            if isinstance(evidence.placement, Placement) and not reading.prefilter:
                status, category = self._beside(status, reading.prediction, evidence.placement)
        if isinstance(evidence.placement, Placement) and status in _PLACEABLE:
            status = Status.PLACED
        return (Status.HAS_GPS if has_position else status), category

    def _recognise(self, prediction: Prediction) -> tuple[Status, Landmark | None]:
        """A tag only at or above the threshold: a wrong tag is worse than none."""
        if prediction.unclassified:
            return Status.NO_LANDMARK, None
        best = prediction.top[0]
        if self._is_sure(prediction):
            return Status.TAGGED, self.category_of(best.slug)
        if prediction.landmark_probability < _NO_LANDMARK_BELOW:
            return Status.NO_LANDMARK, None
        return Status.UNCERTAIN, None

    def _beside(
        self, status: Status, prediction: Prediction, placement: Placement
    ) -> tuple[Status, Landmark | None]:
        """What the picture and the place say together.

        Where the picture alone would be a tag and both together are none, one of the two is wrong:
        neither is believed.
        """
        if prediction.unclassified:
            return status, None
        if status is not Status.TAGGED and not can_reach(prediction, self.threshold):
            return status, None
        if probability(prediction, placement, self.category_of) >= self.threshold:
            return Status.TAGGED, self.category_of(prediction.top[0].slug)
        return (Status.CONFLICT if status is Status.TAGGED else status), None

    def _confidence(self, prediction: Prediction, placement: Placement | Reason | None) -> float:
        if not isinstance(placement, Placement):
            return prediction.top[0].confidence
        return round(probability(prediction, placement, self.category_of), _DIGITS)

    def _least(self, prediction: Prediction) -> float:
        """The confidence that a tag of the likeliest landmark takes."""
        return max(self.threshold, self.here.of(prediction.top[0].slug))

    def _why_unsure(self, status: Status, prediction: Prediction | None) -> str:
        """Empty unless it would be a tag in another library."""
        if status is not Status.UNCERTAIN or prediction is None:
            return ""
        best, least = prediction.top[0], self._least(prediction)
        if best.confidence < self.threshold:
            return ""
        many = f"many photos in this library look somewhat like {self.category_of(best.slug).name}"
        if least > 1:
            return f"{many}: no confidence is enough for a tag here"
        return (
            f"{many}: a tag takes a confidence of {least:.5g} here, this has {best.confidence:.5g}"
        )

    def _is_sure(self, prediction: Prediction) -> bool:
        return prediction.top[0].confidence >= self._least(prediction)

    def _top_k(self, prediction: Prediction | None) -> tuple[TopCategory, ...]:
        if prediction is None:
            return ()
        categories = [(self.category_of(s.slug), s) for s in prediction.top[: self.top_k]]
        return tuple(TopCategory(c.id, c.slug, c.name, s.confidence) for c, s in categories)


def _why_unclassified(status: Status, prediction: Prediction | None) -> str:
    if status is not Status.NO_LANDMARK or prediction is None or not prediction.unclassified:
        return ""
    return f"not classified: {prediction.unclassified}"


def _format_utc(utc: float | None) -> str:
    if utc is None:
        return ""
    return f"{datetime.fromtimestamp(round(utc), UTC).replace(tzinfo=None).isoformat()}Z"


def _position_source(location: Location | None, inferred: Landmark | None) -> str:
    if location is not None:
        return "measured"
    return "inferred" if inferred is not None and inferred.latitude is not None else ""
