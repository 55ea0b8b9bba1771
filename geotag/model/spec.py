"""A model's description: input, categories, calibration, provenance; as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from reprlib import repr as brief
from typing import Any, NamedTuple, cast, get_args

from geotag.categories import parse_own_category
from geotag.errors import CheckpointError
from geotag.records import Fit, OwnCategory

FORMAT = 1
INPUT_SIZE_LIMIT = 1024
_BACKBONE_LIMIT = 15
_SCALE_LIMIT = 1e6
_LONGEST = 200
_MOST_SHARES, _LEAST_SHARE = 100, 1e-9
CATEGORY_LIMIT = 100_000
# What a tag is promised to be right at, unless asked otherwise.
PRECISION = 0.99
# The file format's names of the prefilter and its threshold for photos, which model files hold.
_PREFILTER, _PHOTO_KEY = "glance", "surely_none"


class Threshold(NamedTuple):
    """The least confidence at which tags reached `precision` on the validation photos."""

    precision: float
    confidence: float


class ScoreShares(NamedTuple):
    """How sure the model is, of photos that it should know and of those that it cannot.

    Of photos of its landmarks the shares `known`, and of photos of landmarks that were taken from
    it `unknown`, are at least as sure of one as each of `confidences`, in rising order; of the
    validation photos of no landmark that it knows, `background` are as sure as the first.
    """

    confidences: tuple[float, ...]
    known: tuple[float, ...]
    unknown: tuple[float, ...]
    background: float


class Prefilter(NamedTuple):
    """The first stage of the cascade: a small network that rejects photos without a landmark.

    `thresholds` are for thumbnails, which save reading the photo: for each precision, the
    probability of any landmark, at `input_size` pixels, that nearly all photos reach that get a
    tag of that precision. `photo_threshold` is for photos that are decoded already, and is so low
    that the full network would hardly ever have named a rejected one rightly. The small network is
    the model's own or, with an `architecture`, one of its backbones under that backbone's share of
    the classifier. It knows the first `own` of the categories that a user added, at the threshold
    of the usual precision.
    """

    input_size: int
    thresholds: tuple[Threshold, ...]
    architecture: str = ""
    backbone: int = 0
    photo_threshold: float = 0.05
    own: int = 0


_PHOTO_THRESHOLD: float = Prefilter._field_defaults["photo_threshold"]


class ModelSpec(NamedTuple):
    """All of a model but its weights.

    `mean` and `std` are of RGB in 0 to 1. The network's logits are one for each of `categories`
    (slugs), then one for the background: no landmark. `temperature` divides the logits before
    the softmax (Guo et al., "On Calibration of Modern Neural Networks", 2017). `own_categories`
    describes those of the categories that a user added and no landmark table has. Without `shares`
    nothing can be told of a library by its scores.
    """

    architecture: str
    input_size: int
    fit: Fit
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    categories: tuple[str, ...]
    temperature: float
    thresholds: tuple[Threshold, ...]
    provenance: Mapping[str, Any]
    own_categories: tuple[OwnCategory, ...] = ()
    prefilter: Prefilter | None = None
    shares: ScoreShares | None = None

    def prefilter_for(self, threshold: float) -> float:
        """The probability of a landmark below which the prefilter rules out a tag at `threshold`.

        That of the highest precision whose own threshold is no higher; 0 rules out none. Those
        above the usual precision's are not for categories that a user added.
        """
        if self.prefilter is None or self.prefilter.own != len(self.own_categories):
            return 0.0
        least = dict(self.prefilter.thresholds)
        highest = PRECISION if self.own_categories else 1.0
        fitting = [
            least[precision]
            for precision, confidence in self.thresholds
            if precision in least and precision <= highest and confidence <= threshold + 1e-9
        ]
        return max(fitting, default=0.0)

    def threshold_for(self, precision: float) -> float:
        """The confidence from which a tag is right with at least `precision`.

        Raises CheckpointError when the model was not calibrated for so high a precision.
        """
        fitting = [t.confidence for t in self.thresholds if t.precision >= precision - 1e-9]
        if not fitting:
            best = max((t.precision for t in self.thresholds), default=0.0)
            raise CheckpointError(
                f"this model cannot promise a precision of {precision:g}: it was calibrated up to "
                f"{best:g}; ask for less, or set --threshold yourself"
            )
        return min(fitting)


def format_spec(spec: ModelSpec) -> str:
    fields = spec._asdict()
    fields["format"] = FORMAT
    fields["thresholds"] = [[t.precision, t.confidence] for t in spec.thresholds]
    fields["own_categories"] = [category._asdict() for category in spec.own_categories]
    if not spec.own_categories:
        del fields["own_categories"]
    if (prefilter := fields.pop("prefilter")) is not None:
        fields[_PREFILTER] = _format_prefilter(prefilter)
    if (shares := fields.pop("shares")) is not None:
        fields["shares"] = shares._asdict()
    return canonical(fields)


def _format_prefilter(prefilter: Prefilter) -> dict[str, Any]:
    """Later fields are left out where they have their defaults: older models stay as they are."""
    fields = prefilter._asdict()
    fields["thresholds"] = [[t.precision, t.confidence] for t in prefilter.thresholds]
    for later, default in (("photo_threshold", _PHOTO_THRESHOLD), ("own", 0)):
        if fields[later] == default:
            del fields[later]
    if "photo_threshold" in fields:
        fields[_PHOTO_KEY] = fields.pop("photo_threshold")
    return fields


_REQUIRED = [field for field in ModelSpec._fields if field not in ModelSpec._field_defaults]


def parse_spec(text: str) -> ModelSpec:
    """The reverse of `format_spec`. Raises ValueError for anything else."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError(f"format is not {FORMAT}: made by another version of geotag?")
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise ValueError(f"no {', '.join(missing)}")
    fit = parse_name(fields["fit"])
    if fit not in get_args(Fit):
        raise ValueError(f"fit {brief(fit)} is not one of {', '.join(get_args(Fit))}")
    if not isinstance(fields["provenance"], dict):
        raise ValueError("provenance is no object")
    spec = ModelSpec(
        architecture=parse_name(fields["architecture"]),
        input_size=_integer(fields["input_size"], 1, INPUT_SIZE_LIMIT),
        fit=cast(Fit, fit),
        mean=_triple(fields["mean"], -_SCALE_LIMIT, _SCALE_LIMIT),
        std=_triple(fields["std"], 1 / _SCALE_LIMIT, _SCALE_LIMIT),
        categories=tuple(map(parse_name, _list(fields["categories"]))),
        temperature=_number(fields["temperature"], 1 / _SCALE_LIMIT, _SCALE_LIMIT),
        thresholds=_thresholds(fields["thresholds"]),
        provenance=fields["provenance"],
        own_categories=tuple(map(parse_own_category, _list(fields.get("own_categories", [])))),
        prefilter=_prefilter(fields[_PREFILTER]) if _PREFILTER in fields else None,
        shares=_shares(fields["shares"]) if "shares" in fields else None,
    )
    _check_categories(spec)
    return spec


def _check_categories(spec: ModelSpec) -> None:
    if not 1 <= len(spec.categories) <= CATEGORY_LIMIT:
        raise ValueError(f"{len(spec.categories)} categories")
    if len(set(spec.categories)) != len(spec.categories):
        raise ValueError("a category stands twice")
    own = [category.slug for category in spec.own_categories]
    if len(set(own)) != len(own) or not set(own) <= set(spec.categories):
        raise ValueError("an own category stands twice or is not among the categories")


def _prefilter(fields: object) -> Prefilter:
    if not isinstance(fields, dict) or not {"input_size", "thresholds"} <= fields.keys():
        raise ValueError(f"{brief(fields)} is no {_PREFILTER}")
    architecture = fields.get("architecture", "")
    return Prefilter(
        _integer(fields["input_size"], 1, INPUT_SIZE_LIMIT),
        _thresholds(fields["thresholds"]),
        parse_name(architecture) if architecture != "" else "",
        _integer(fields.get("backbone", 0), 0, _BACKBONE_LIMIT),
        _number(fields.get(_PHOTO_KEY, _PHOTO_THRESHOLD), 0, 1),
        _integer(fields.get("own", 0), 0, CATEGORY_LIMIT),
    )


def _shares(fields: object) -> ScoreShares:
    if not isinstance(fields, dict) or fields.keys() != set(ScoreShares._fields):
        raise ValueError(f"{brief(fields)} are no shares of scores")
    confidences, known, unknown = (
        tuple(_number(value, _LEAST_SHARE, 1) for value in _list(fields[name]))
        for name in ("confidences", "known", "unknown")
    )
    falls = all(a > b for curve in (known, unknown) for a, b in pairwise(curve))
    rises = all(a < b for a, b in pairwise(confidences)) and confidences[-1:] < (1.0,)
    if not (2 <= len(confidences) == len(known) == len(unknown) <= _MOST_SHARES):
        raise ValueError("shares of scores are of different or too many confidences")
    if not (falls and rises):
        raise ValueError("shares of scores do not fall as confidences rise")
    return ScoreShares(confidences, known, unknown, _number(fields["background"], 0, 1))


def _thresholds(pairs: object) -> tuple[Threshold, ...]:
    found = [_list(pair, 2) for pair in _list(pairs)]
    return tuple(Threshold(_number(p, 0, 1), _number(least, 0, 1)) for p, least in found)


def parse_name(value: object) -> str:
    """A text that can be shown in a line. Raises ValueError for anything else."""
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= _LONGEST:
        raise ValueError(f"{brief(value)} is not a name")
    return value


def _list(value: object, length: int | None = None) -> list[object]:
    if not isinstance(value, list) or length not in (None, len(value)):
        raise ValueError(f"{brief(value)} is no list" + (f" of {length}" if length else ""))
    return value


def _number(value: object, low: float, high: float) -> float:
    if type(value) not in (int, float) or not low <= cast(float, value) <= high:
        raise ValueError(f"{brief(value)} is not a number from {low:g} to {high:g}")
    return float(cast(float, value))


def _integer(value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{brief(value)} is not a whole number from {low} to {high}")
    return value


def _triple(values: object, low: float, high: float) -> tuple[float, float, float]:
    red, green, blue = (_number(value, low, high) for value in _list(values, 3))
    return red, green, blue


def canonical(document: object) -> str:
    """JSON that is the same text for the same document. Raises ValueError for infinities."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False)
