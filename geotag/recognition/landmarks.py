"""Adds landmarks of a user's own to a model, from a few photos and without retraining."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotag.categories import (
    OWN_ID,
    OWN_PREFIX,
    ModelCategories,
    parse_own_category,
    slugify,
)
from geotag.decoding.thumbnails import CAMERAS, thumbnail
from geotag.decoding.transforms import preprocess
from geotag.errors import CheckpointError, PhotoError, UsageError
from geotag.metadata.header import parse_header
from geotag.model.checkpoint import BACKGROUND, PREFILTER, Checkpoint, round_weights
from geotag.model.spec import PRECISION, ModelSpec, Prefilter
from geotag.recognition.few_shot import (
    Floats,
    Head,
    fit_output,
    fit_passing_output,
    wilson_interval,
)
from geotag.records import Fit, OwnCategory, Photo
from geotag.sources import Library
from geotag.sources.base import Filters

if TYPE_CHECKING:
    from geotag.model.checkpoint import Tensors

LEAST_PHOTOS = 1
MOST_PHOTOS = 50
_EMBEDDINGS = BACKGROUND + "embeddings"
_SCALE = BACKGROUND + "scale"
_CROP = 0.85
_MALFORMED = "its background photos do not fit it; run python -m training.background again"


class Place(NamedTuple):
    """Where a landmark stands, as far as it is given; see Category for the units."""

    latitude: float | None = None
    longitude: float | None = None
    radius_m: float | None = None
    city: str = ""
    country: str = ""


class Added(NamedTuple):
    """A model with one landmark more.

    `recall` is the share of the example views that it would tag when trained on the others, and
    `interval` where the landmark's own lies, 19 times in 20. `taken_for` counts what it names such
    examples: slugs, "" for no landmark. One example tells none of it: None and empty. `resembles`
    is the slug of a category that the model took more than half of the examples for before, or "".
    """

    spec: ModelSpec
    tensors: Tensors
    category: OwnCategory
    recall: float | None
    interval: tuple[float, float] | None
    taken_for: tuple[tuple[str, int], ...]
    resembles: str


def add_landmark(
    checkpoint: Checkpoint, name: str, photos: NDArray[np.uint8], place: Place | None = None,
    force: bool = False,
) -> Added:  # fmt: skip
    """Teach a model one more landmark: `photos` are uint8 (N, S, S, 3) at its input size.

    With `force` also one whose name it has: an added one is learned anew, another stays. Raises
    UsageError for a name or place that will not do, too few photos or too many, and
    CheckpointError when the model has no stored background photos to compare with.
    """
    if not LEAST_PHOTOS <= len(photos) <= MOST_PHOTOS:
        raise UsageError(
            f"a landmark is learned from {LEAST_PHOTOS} to {MOST_PHOTOS} different photos, not "
            f"from {len(photos)}"
        )
    if force:
        checkpoint = _without(checkpoint, name)
    else:
        _check_unknown(checkpoint.spec, name)
    category = own_category(checkpoint.spec, name, place or Place())
    background = load_background(checkpoint)
    from geotag.engines.embedding import Embedder

    embedder = Embedder(checkpoint)
    views = embedder.embed(_views(photos))
    if views.shape[1:] != background.shape[1:]:
        raise CheckpointError(f"{checkpoint.source}: {_MALFORMED}")
    spec = checkpoint.spec
    head = _read_head(checkpoint.tensors, embedder.classifier, spec.temperature)
    threshold = spec.threshold_for(PRECISION)
    photo_of_view = np.arange(len(views)) % len(photos)
    fitted = fit_output(head, views, photo_of_view, background, threshold)
    tensors = _with_output(
        checkpoint.tensors,
        embedder.classifier,
        fitted.weight * spec.temperature,
        fitted.bias * spec.temperature,
    )
    scale, known = checkpoint.tensors[_SCALE], head.logits(views[: len(photos)])
    tensors[_own_tensor(category.slug)] = _quantise(views[: len(photos)], scale)
    prefilter = spec.prefilter
    if prefilter is not None and spec.prefilter_for(threshold):
        tensors |= _with_passing_output(checkpoint, photos, background)
        prefilter = prefilter._replace(own=prefilter.own + 1)
    is_judged = len(photos) > 1
    names = (*spec.categories, category.slug)
    return Added(
        spec._replace(
            categories=names,
            own_categories=(*spec.own_categories, category),
            prefilter=prefilter,
        ),
        tensors,
        category,
        fitted.recall if is_judged else None,
        wilson_interval(fitted.recall, len(photos)) if is_judged else None,
        _taken_for(known, fitted.held_out[: len(photos)], names) if is_judged else (),
        _resembles(known, spec.categories),
    )


def _check_unknown(spec: ModelSpec, name: str) -> None:
    """Raise UsageError for the name of a landmark that the model came with."""
    known = ModelCategories(spec.own_categories)
    alike = [known.by_slug(s).name for s in spec.categories if not s.startswith(OWN_PREFIX)]
    for other in alike:
        if slugify(name) and slugify(name) == slugify(other):
            raise UsageError(
                f"this model knows “{other}” already: take a name that tells yours from it, or "
                "--force to have both"
            )


def _without(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """A model without the added landmark of this name, if it has one."""
    if all(name.casefold() != c.name.casefold() for c in checkpoint.spec.own_categories):
        return checkpoint
    spec, tensors = remove_landmark(checkpoint, name)
    return checkpoint.with_spec(spec)._replace(tensors=tensors)


def read_examples(
    sources: Sequence[str], input_size: int, fit: Fit,
    counted: Callable[[list[Photo]], Iterable[Photo]] = iter,
) -> tuple[NDArray[np.uint8], dict[str, str]]:  # fmt: skip
    """The different photos among files and folders, (N, S, S, 3), and why others are left out.

    `counted` gives the photos one by one, so that their progress can be shown.
    Raises SourceError for what cannot be listed, UsageError when no photo is left.
    """
    from geotag.decoding.loader import decode

    library = Library(sources, Filters())
    pictures: dict[str, NDArray[np.uint8]] = {}
    left_out: dict[str, str] = {}
    for photo in counted(list(library.photos())):
        try:
            data = library.read(photo.uri)
            digest = hashlib.sha256(data).hexdigest()
            if digest in pictures:
                left_out[photo.uri] = "the same photo as another"
            else:
                pictures[digest] = decode(data, parse_header(data, photo.uri), input_size, fit)
        except PhotoError as error:
            left_out[photo.uri] = str(error)
    if not pictures:
        raise UsageError("none of the examples is a readable photo")
    return np.stack(list(pictures.values())), left_out


def remove_landmark(checkpoint: Checkpoint, name: str) -> tuple[ModelSpec, Tensors]:
    """Take back a landmark that was added, by its name in any case, or slug. Raises UsageError."""
    from geotag.engines.embedding import Embedder

    spec = checkpoint.spec
    own = [c for c in spec.own_categories if name.casefold() in (c.name.casefold(), c.slug)]
    if not own:
        known = ", ".join(c.name for c in spec.own_categories) or "none"
        raise UsageError(f"no landmark “{name}” was added to this model; added: {known}")
    slug = own[0].slug
    at = spec.categories.index(slug)
    classifier = Embedder(checkpoint).classifier
    tensors = dict(checkpoint.tensors)
    for part in (".weight", ".bias"):
        tensors[classifier + part] = np.delete(tensors[classifier + part], at, axis=0)
    tensors.pop(_own_tensor(slug), None)
    return (
        spec._replace(
            categories=tuple(s for s in spec.categories if s != slug),
            own_categories=tuple(c for c in spec.own_categories if c.slug != slug),
            prefilter=_forget(spec, slug, tensors),
        ),
        tensors,
    )


def _forget(
    spec: ModelSpec, slug: str, tensors: dict[str, NDArray[np.generic]]
) -> Prefilter | None:
    """The prefilter without a user's landmark, whose row is taken from `tensors`."""
    at = [category.slug for category in spec.own_categories].index(slug)
    if spec.prefilter is None or at >= spec.prefilter.own:
        return spec.prefilter
    for name in [name for name in tensors if name.startswith(PREFILTER)]:
        tensors[name] = np.delete(tensors[name], at, axis=0)
        if not len(tensors[name]):
            del tensors[name]
    return spec.prefilter._replace(own=spec.prefilter.own - 1)


def own_category(spec: ModelSpec, name: str, place: Place) -> OwnCategory:
    """The record of a new landmark. Raises UsageError when name or place will not do."""
    # Scripts other than Latin leave no slug: a hash of the name does as well.
    slug = OWN_PREFIX + (slugify(name) or hashlib.sha256(name.encode()).hexdigest()[:12])
    slug = slug[:100].rstrip("_")
    taken = [c.id for c in spec.own_categories]
    if slug in spec.categories:
        raise UsageError(f"this model has a landmark “{name}” already; remove it first")
    category = OwnCategory(max([OWN_ID - 1, *taken]) + 1, slug, name, **place._asdict())
    try:
        return parse_own_category(category._asdict())
    except ValueError as problem:
        raise UsageError(f"“{name}”: {problem}") from None


def with_background(tensors: Tensors, embeddings: Floats) -> Tensors:
    """A model's tensors with stored embeddings (N, D) of photos to compare new landmarks with.

    One byte a number: the error is far below what differs between photos.
    """
    scale = (np.abs(embeddings).max(axis=0) / 127 + 1e-12).astype(np.float32)
    kept = {n: t for n, t in tensors.items() if n not in (_EMBEDDINGS, _SCALE)}
    return {**kept, _SCALE: scale, _EMBEDDINGS: _quantise(embeddings, scale)}


def load_background(checkpoint: Checkpoint) -> Floats:
    """The stored embeddings (N, D): of the background, and of landmarks added before.

    Raises CheckpointError when there are none.
    """
    tensors = checkpoint.tensors
    if _EMBEDDINGS not in tensors or _SCALE not in tensors:
        raise CheckpointError(
            f"{checkpoint.source}: holds no background photos to compare a new landmark with; add "
            "them with python -m training.background"
        )
    scale = tensors[_SCALE].astype(np.float64)
    names = sorted(n for n in tensors if n.startswith(BACKGROUND) and n != _SCALE)
    try:
        stored = np.concatenate([tensors[name].astype(np.float64) * scale for name in names])
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.source}: {_MALFORMED} ({error})") from error
    if stored.ndim != 2 or not np.isfinite(stored).all():
        raise CheckpointError(f"{checkpoint.source}: {_MALFORMED}")
    return stored


def _quantise(embeddings: Floats, scale: NDArray[np.generic]) -> NDArray[np.int8]:
    steps = np.rint(embeddings / scale.astype(np.float64))
    return np.clip(steps, -127, 127).astype(np.int8)


def _own_tensor(slug: str) -> str:
    return f"{BACKGROUND}own.{slug}"


def _views(photos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photos, then without their margins, then the mirror images of both."""
    size = photos.shape[1]
    margin = size * (1 - _CROP) / 2
    box = (margin, margin, size - margin, size - margin)
    inner = [
        np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC, box))
        for photo in photos
    ]
    upright = np.concatenate([photos, np.stack(inner)])
    return np.concatenate([upright, upright[:, :, ::-1]])


def _read_head(tensors: Tensors, classifier: str, temperature: float) -> Head:
    weight, bias = tensors[classifier + ".weight"], tensors[classifier + ".bias"]
    return Head(weight.astype(np.float64) / temperature, bias.astype(np.float64) / temperature)


def _with_output(
    tensors: Tensors, classifier: str, weight: Floats, bias: float
) -> dict[str, NDArray[np.generic]]:
    """The tensors with one row more, before the background's."""
    extended = dict(tensors)
    for part, row in ((".weight", weight), (".bias", np.array(bias))):
        old = tensors[classifier + part]
        new = np.concatenate([old[:-1], round_weights(row[None]).astype(old.dtype), old[-1:]])
        extended[classifier + part] = new
    return extended


def _with_passing_output(
    checkpoint: Checkpoint, photos: NDArray[np.uint8], background: Floats
) -> Tensors:
    """The rows of the user's landmarks in the prefilter's classifier, with a new one.

    It is learned from thumbnails, which show less than the photos, and lets rather too many pass.
    """
    from geotag.engines.embedding import Embedder

    spec = checkpoint.spec
    prefilter = spec.prefilter
    assert prefilter is not None
    small = checkpoint.prefilter()
    embedder = Embedder(small)
    views = embedder.embed(_thumbnails(photos, small.spec.input_size))
    if prefilter.architecture:
        width = views.shape[1]
        background = background[:, prefilter.backbone * width : (prefilter.backbone + 1) * width]
    weight, bias = fit_passing_output(
        _read_head(small.tensors, embedder.classifier, spec.temperature),
        views,
        np.arange(len(views)) % len(photos),
        background,
        spec.prefilter_for(spec.threshold_for(PRECISION)),
    )
    rows = {}
    for part, row in ((".weight", weight[None]), (".bias", np.array([bias]))):
        name = embedder.classifier + part
        new = round_weights(row * spec.temperature).astype(small.tensors[name].dtype)
        known = small.tensors[name][-1 - prefilter.own : -1]
        rows[PREFILTER + name] = np.concatenate([known, new])
    return rows


def _thumbnails(photos: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The photos as cameras' thumbnails would show them, (2 N, size, size, 3)."""
    pictures = [Image.fromarray(photo) for photo in photos]
    return np.stack([preprocess(thumbnail(p, c), size) for c in CAMERAS for p in pictures])


def _taken_for(
    known: Floats, held_out: Floats, categories: Sequence[str]
) -> tuple[tuple[str, int], ...]:
    """What examples are named that the output was not fitted to, the commonest first.

    `known` (N, K + 1) are the logits of all but the last of the categories, and the background's.
    """
    logits = np.concatenate([known[:, :-1], held_out[:, None], known[:, -1:]], axis=1)
    names = (*categories, "")
    return tuple(Counter(names[at] for at in logits.argmax(axis=1)).most_common())


def _resembles(logits: Floats, categories: Sequence[str]) -> str:
    best, counts = np.unique(logits.argmax(axis=1), return_counts=True)
    most = int(counts.argmax())
    is_category = counts[most] * 2 > len(logits) and best[most] < len(categories)
    return categories[int(best[most])] if is_category else ""
