"""A model as one safetensors file: weights, input, categories, calibration, provenance."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from geotag.atomic import atomic_file
from geotag.categories import parse_own_category
from geotag.errors import CheckpointError
from geotag.records import Fit, OwnCategory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.generic]]

FORMAT = 1
SIZE_LIMIT = 512 * 2**20
INPUT_SIZE_LIMIT = 1024
_HEADER_LIMIT = 16 * 2**20
CATEGORY_LIMIT = 100_000
BUILT_IN = "model.safetensors"
# What begins the names of tensors that are no weights of the network: what an owner's landmarks
# are told from, and their rows of the classifier of the network that glances.
BACKGROUND = "background."
GLANCE = "glance."
# What a tag is promised to be right at, unless asked otherwise.
PRECISION = 0.99


class Threshold(NamedTuple):
    """The least confidence at which tags reached `precision` on the validation photos."""

    precision: float
    confidence: float


class Glance(NamedTuple):
    """How a glance at a photo, or at its thumbnail, tells whether it is worth a look.

    `thresholds` are the least probabilities of any landmark at all, seen by the glance at
    `input_size` pixels, at which a photo may still get a tag of so much precision: those of nearly
    all that do are above. They are for thumbnails, which save reading the photo. One that is
    decoded already is turned away below `surely_none` alone, where a full look would hardly ever
    have named it rightly. The network that glances is the model's own or, with an `architecture`
    of its own, one of its backbones under that backbone's share of the classifier. It knows the
    first `own` of the categories that an owner added, at the gate of the usual precision.
    """

    input_size: int
    thresholds: tuple[Threshold, ...]
    architecture: str = ""
    backbone: int = 0
    surely_none: float = 0.05
    own: int = 0


class ModelSpec(NamedTuple):
    """All of a model but its weights.

    `mean` and `std` are of RGB in 0 to 1. The network's logits are one for each of `categories`
    (slugs), then one for the background: no landmark. `temperature` divides the logits before
    the softmax (Guo et al., "On Calibration of Modern Neural Networks", 2017). `own_categories`
    describes those of the categories that a user added and no landmark table has.
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
    glance: Glance | None = None

    def glance_for(self, threshold: float) -> float:
        """The probability of a landmark below which a glance rules out a tag at `threshold`.

        That of the highest precision whose own threshold is no higher; 0 rules out none. The gates
        above the usual precision's are not for categories that an owner added.
        """
        if self.glance is None or self.glance.own != len(self.own_categories):
            return 0.0
        least = dict(self.glance.thresholds)
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


class ModelHeader(NamedTuple):
    """The part of a model file that can be read without its weights.

    `sha256` is over tensors and spec, as the file claims; only `load_checkpoint` verifies it.
    """

    spec: ModelSpec
    sha256: str

    @property
    def name(self) -> str:
        """The model as tables name it: architecture and the start of the hash."""
        return f"{self.spec.architecture}-{self.sha256[:12]}"


class Checkpoint(NamedTuple):
    """A loaded and verified model file."""

    header: ModelHeader
    tensors: Tensors

    @property
    def spec(self) -> ModelSpec:
        """All of the model but its weights."""
        return self.header.spec

    def glancing(self) -> Checkpoint:
        """The network that glances.

        Raises CheckpointError when there is none, or none that the weights make up.
        """
        glance = self.spec.glance
        if glance is None:
            raise CheckpointError("this model has no network to glance with")
        tensors = self.weights
        try:
            if glance.architecture:
                tensors = _backbone_alone(tensors, glance.backbone)
            tensors = {**tensors, **_own_rows(self.tensors, tensors)}
        except (KeyError, IndexError, ValueError, AttributeError):
            raise CheckpointError("this model lacks the backbone that glances") from None
        architecture = glance.architecture or self.spec.architecture
        spec = self.spec._replace(architecture=architecture, input_size=glance.input_size)
        return Checkpoint(self.header._replace(spec=spec), tensors)

    @property
    def weights(self) -> Tensors:
        """The network's tensors, without what is stored for landmarks of an owner's."""
        return {n: t for n, t in self.tensors.items() if not n.startswith((BACKGROUND, GLANCE))}


def _backbone_alone(weights: Tensors, number: int) -> Tensors:
    """One backbone of several below a classifier that takes the others to say the same."""
    import numpy as np

    own = f"backbones.{number}."
    alone = {f"backbones.0.{n[len(own) :]}": t for n, t in weights.items() if n.startswith(own)}
    count = len({name.split(".")[1] for name in weights if name.startswith("backbones.")})
    if not alone:
        raise IndexError(number)
    share = np.split(weights["classifier.weight"], count, axis=1)[number]
    return {
        **alone,
        "classifier.weight": share * count,
        "classifier.bias": weights["classifier.bias"],
    }


def _own_rows(stored: Tensors, weights: Tensors) -> dict[str, NDArray[np.generic]]:
    """The classifier that glances with its own rows of what an owner added, the last but one."""
    import numpy as np

    rows = {n[len(GLANCE) :]: t for n, t in stored.items() if n.startswith(GLANCE)}
    return {
        name: np.concatenate([weights[name][: -1 - len(own)], own, weights[name][-1:]])
        for name, own in rows.items()
    }


def round_weights(array: NDArray[np.floating]) -> NDArray[np.float16]:
    """Rounded to the 8 significant bits that bfloat16 has, half to even, and kept as float16.

    So all engines compute with the very same weights, whatever their number type. Of the
    differences between scores in bfloat16 and in float32 that leaves a tenth.
    """
    import numpy as np

    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = bits + (0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32).astype(np.float16)


def built_in_path() -> Path:
    """Where the model that comes with geotag lies."""
    return Path(str(resources.files("geotag").joinpath(BUILT_IN)))


def read_header(path: Path | None = None) -> ModelHeader:
    """Read what a model file says of itself (None: the built-in one), without its weights.

    Raises CheckpointError when the file is missing, too large, damaged or not a geotag model.
    """
    path = path or built_in_path()
    try:
        with path.open("rb") as file:
            metadata = _read_metadata(file)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such model file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    return _parse_header(path, metadata)[0]


def _read_metadata(file: BinaryIO) -> Mapping[str, str]:
    """What stands before the tensors: a length of eight bytes and so much JSON.

    Read here, for the safetensors package imports numpy, and a scan may need neither.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= _HEADER_LIMIT:
        raise ValueError(f"its header has {length} bytes")
    fields = json.loads(file.read(length))
    metadata = fields.get("__metadata__", {}) if isinstance(fields, dict) else {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its header is malformed")
    return metadata


def load_checkpoint(path: Path | None = None) -> Checkpoint:
    """Read and verify a model file (None: the built-in one).

    Raises CheckpointError when the file is missing, too large, damaged or not a geotag model.
    """
    path = path or built_in_path()
    with _opened(path) as file:
        header, text = _parse_header(path, file.metadata())
        tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    if fingerprint(text, tensors) != header.sha256:
        raise CheckpointError(f"{path}: damaged: its contents do not match its SHA-256")
    return Checkpoint(header, tensors)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise CheckpointError(f"{path}: larger than {SIZE_LIMIT >> 20} MiB, not read")
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such model file") from None
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _parse_header(path: Path, metadata: Mapping[str, str] | None) -> tuple[ModelHeader, str]:
    """The header and the text of its spec, which the SHA-256 covers."""
    if not metadata or "geotag" not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not a geotag model")
    try:
        document = json.loads(metadata["geotag"])
        text = _canonical(document["spec"])
        header = ModelHeader(parse_spec(text), _text(document["sha256"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description is malformed ({error})") from error
    return header, text


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False)


def save_checkpoint(path: Path, spec: ModelSpec, tensors: Tensors) -> str:
    """Write a model file atomically; returns its SHA-256. Raises CheckpointError if it cannot."""
    from safetensors.numpy import save

    text = format_spec(spec)
    parse_spec(text)
    sha256 = fingerprint(text, tensors)
    # One entry: safetensors writes several in no fixed order, and equal models are equal bytes.
    document = _canonical({"spec": json.loads(text), "sha256": sha256})
    data = save(
        {name: _contiguous(tensors[name]) for name in sorted(tensors)}, {"geotag": document}
    )
    try:
        with atomic_file(path) as file:
            file.write(data)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror or error})") from error
    return sha256


def _contiguous(array: NDArray[np.generic]) -> NDArray[np.generic]:
    import numpy as np

    return np.ascontiguousarray(array)


def fingerprint(spec_text: str, tensors: Tensors) -> str:
    """SHA-256 over the spec and every tensor's name, type, shape and bytes, in name order."""
    digest = hashlib.sha256(spec_text.encode())
    for name in sorted(tensors):
        array = _contiguous(tensors[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()


def format_spec(spec: ModelSpec) -> str:
    """The spec as canonical JSON."""
    fields = spec._asdict()
    fields["format"] = FORMAT
    fields["thresholds"] = [[t.precision, t.confidence] for t in spec.thresholds]
    fields["own_categories"] = [category._asdict() for category in spec.own_categories]
    if not spec.own_categories:
        del fields["own_categories"]
    if spec.glance is None:
        del fields["glance"]
    else:
        fields["glance"] = _format_glance(spec.glance)
    return _canonical(fields)


def _format_glance(glance: Glance) -> dict[str, Any]:
    """Without what came later and says nothing, so that older models stay the same bytes."""
    fields = glance._asdict()
    fields["thresholds"] = [[t.precision, t.confidence] for t in glance.thresholds]
    later = ("surely_none", "own")
    return {k: v for k, v in fields.items() if k not in later or v != Glance._field_defaults[k]}


def parse_spec(text: str) -> ModelSpec:
    """The reverse of `format_spec`. Raises ValueError, KeyError or TypeError on nonsense."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError(f"format is not {FORMAT}: made by another version of geotag?")
    spec = ModelSpec(
        architecture=_text(fields["architecture"]),
        input_size=int(fields["input_size"]),
        fit=cast(Fit, _text(fields["fit"])),
        mean=_triple(fields["mean"]),
        std=_triple(fields["std"]),
        categories=tuple(_text(slug) for slug in fields["categories"]),
        temperature=_finite(fields["temperature"]),
        thresholds=_thresholds(fields["thresholds"]),
        provenance=dict(fields["provenance"]),
        own_categories=tuple(parse_own_category(e) for e in fields.get("own_categories", ())),
        glance=_glance(fields["glance"]) if "glance" in fields else None,
    )
    _check(spec)
    return spec


def _check(spec: ModelSpec) -> None:
    if not 1 <= spec.input_size <= INPUT_SIZE_LIMIT:
        raise ValueError(f"input_size {spec.input_size} is not within 1 to {INPUT_SIZE_LIMIT}")
    if spec.glance is not None and not 1 <= spec.glance.input_size <= INPUT_SIZE_LIMIT:
        raise ValueError(f"input_size {spec.glance.input_size} of a glance")
    if spec.fit not in ("squash", "crop"):
        raise ValueError(f"unknown fit {spec.fit!r}")
    if spec.temperature <= 0 or min(spec.std) <= 0:
        raise ValueError("temperature and std must be positive")
    if not 1 <= len(spec.categories) <= CATEGORY_LIMIT:
        raise ValueError(f"{len(spec.categories)} categories")
    if len(set(spec.categories)) != len(spec.categories):
        raise ValueError("a category stands twice")
    own = [category.slug for category in spec.own_categories]
    if len(set(own)) != len(own) or not set(own) <= set(spec.categories):
        raise ValueError("an own category stands twice or is not among the categories")


def _glance(fields: Mapping[str, Any]) -> Glance:
    return Glance(
        int(fields["input_size"]),
        _thresholds(fields["thresholds"]),
        str(fields.get("architecture", "")),
        int(fields.get("backbone", 0)),
        _finite(fields.get("surely_none", Glance._field_defaults["surely_none"])),
        int(fields.get("own", 0)),
    )


def _thresholds(pairs: Any) -> tuple[Threshold, ...]:
    return tuple(Threshold(_finite(precision), _finite(least)) for precision, least in pairs)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a name")
    return value


def _finite(value: object) -> float:
    number = float(cast(float, value))
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _triple(values: object) -> tuple[float, float, float]:
    red, green, blue = (_finite(value) for value in cast("list[float]", values))
    return red, green, blue
