"""A model as one safetensors file: its weights and its description."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from geotag.errors import CheckpointError
from geotag.files.atomic import atomic_file
from geotag.model.spec import ModelSpec, canonical, format_spec, parse_name, parse_spec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.generic]]

SIZE_LIMIT = 512 * 2**20
_HEADER_LIMIT = 16 * 2**20
BUILT_IN = "model.safetensors"
_REMEDY = "copy it here again, or train it anew"
# What begins the names of tensors that are no weights of the network: what a user's landmarks
# are distinguished from, and their rows of the prefilter's classifier.
BACKGROUND = "background."
PREFILTER = "glance."
# And what it remembers of its training photos.
MEMORY = "memory."


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
    """A loaded and verified model; `source` is its file, for messages."""

    header: ModelHeader
    tensors: Tensors
    source: str = "the model"

    @property
    def spec(self) -> ModelSpec:
        return self.header.spec

    def with_spec(self, spec: ModelSpec) -> Checkpoint:
        """The same weights under another spec; the hash stays that of the file."""
        return self._replace(header=self.header._replace(spec=spec))

    def with_tensors(self, tensors: Tensors) -> Checkpoint:
        """Other weights under their own hash: engines keep what they made of one."""
        header = ModelHeader(self.spec, fingerprint(format_spec(self.spec), tensors))
        return self._replace(header=header, tensors=tensors)

    def prefilter(self) -> Checkpoint:
        """The small network of the cascade's first stage, as a checkpoint of its own.

        Raises CheckpointError when there is none, or when the weights lack it.
        """
        prefilter = self.spec.prefilter
        if prefilter is None:
            raise CheckpointError(f"{self.source}: has no prefilter; run training.prefilter first")
        tensors = self.weights
        try:
            if prefilter.architecture:
                tensors = _backbone_alone(tensors, prefilter.backbone)
            tensors = {**tensors, **_own_rows(self.tensors, tensors)}
        except (KeyError, IndexError, ValueError, AttributeError):
            raise CheckpointError(
                f"{self.source}: lacks the weights of its prefilter; {_REMEDY}"
            ) from None
        architecture = prefilter.architecture or self.spec.architecture
        spec = self.spec._replace(architecture=architecture, input_size=prefilter.input_size)
        return self.with_spec(spec)._replace(tensors=tensors)

    @property
    def weights(self) -> Tensors:
        """The network's tensors, without its memory, and what is stored for landmarks that a user
        added."""
        apart = (BACKGROUND, PREFILTER, MEMORY)
        return {n: t for n, t in self.tensors.items() if not n.startswith(apart)}

    @property
    def memory(self) -> Tensors:
        """The tensors of the network's memory by their own names; none where it has none."""
        return {
            name[len(MEMORY) :]: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(MEMORY)
        }


def _backbone_alone(weights: Tensors, number: int) -> Tensors:
    """One backbone of several, with a classifier that counts it as often as there are backbones."""
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
    """The prefilter's classifier with its own rows of what a user added, before the background."""
    import numpy as np

    rows = {n[len(PREFILTER) :]: t for n, t in stored.items() if n.startswith(PREFILTER)}
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
    """Read the description in a model file (None: the built-in one), without its weights.

    Raises CheckpointError when the file is missing, too large, damaged or not a geotag model.
    """
    path = path or built_in_path()
    with _errors(path), path.open("rb") as file:
        return _parse_header(path, _read_metadata(file))[0]


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
    from safetensors import SafetensorError, safe_open

    path = path or built_in_path()
    with _errors(path):
        try:
            with safe_open(path, framework="numpy") as file:
                header, text = _parse_header(path, file.metadata())
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        except (SafetensorError, TypeError, AttributeError) as error:  # number types of no numpy
            raise ValueError(str(error)) from error
    if fingerprint(text, tensors) != header.sha256:
        raise CheckpointError(f"{path}: damaged: its contents do not match its SHA-256; {_REMEDY}")
    return Checkpoint(header, tensors, str(path))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What goes wrong in the block with a file is a CheckpointError that names it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block
            raise CheckpointError(f"{path}: not a file; give a model file (.safetensors)")
        if status.st_size > SIZE_LIMIT:
            raise CheckpointError(f"{path}: larger than {SIZE_LIMIT >> 20} MiB, not read")
        yield
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such model file; give another one, or none for the built-in model"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: not a readable model file ({reason}); {_REMEDY}") from error


def _parse_header(path: Path, metadata: Mapping[str, str] | None) -> tuple[ModelHeader, str]:
    """The header and the text of its spec, which the SHA-256 covers."""
    if not metadata or "geotag" not in metadata:
        raise CheckpointError(
            f"{path}: a safetensors file, but not a geotag model; make one with training.train"
        )
    document = json.loads(metadata["geotag"])
    if not isinstance(document, dict) or not {"spec", "sha256"} <= document.keys():
        raise ValueError("its description is malformed")
    text = canonical(document["spec"])
    text.encode()  # no half of a surrogate pair, which has no UTF-8
    return ModelHeader(parse_spec(text), parse_name(document["sha256"])), text


def save_checkpoint(path: Path, spec: ModelSpec, tensors: Tensors) -> str:
    """Write a model file atomically; returns its SHA-256. Raises CheckpointError if it cannot."""
    from safetensors.numpy import save

    text = format_spec(spec)
    parse_spec(text)
    sha256 = fingerprint(text, tensors)
    # One entry: safetensors writes several in no fixed order, and equal models are equal bytes.
    document = canonical({"spec": json.loads(text), "sha256": sha256})
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
