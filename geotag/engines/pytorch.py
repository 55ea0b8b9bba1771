"""PyTorch on CUDA, Apple or plain processors."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from geotag.engines.base import EngineOptions
from geotag.errors import CheckpointError, EngineError
from geotag.model.architectures import Normalised, build_model
from geotag.model.checkpoint import Checkpoint
from geotag.model.memory import Embedding, Memory, Remembering, parse_recollection
from geotag.model.networks import Recogniser

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BATCH_SIZE = 8
# On a GPU as many photos as a quarter of its free memory holds, at so many numbers for each pixel
# of the input: twice what the widest layer of VGG16 reads and writes.
_GPU_BATCH_SIZES = (8, 256)
_ACTIVATIONS = 256
_FREE_SHARE = 0.25
# So that one batch is copied while another is computed.
_GPU_STREAMS = 2


class PyTorchEngine:
    """Eager PyTorch, channels last, in inference mode."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions, streams: int = 1) -> None:
        self.device = choose_device(options.device)
        self.dtype = choose_dtype(options.dtype, self.device)
        on_processor = self.device.type == "cpu"
        size = checkpoint.spec.input_size
        self.batch_size = options.batch_size or choose_batch_size(self.device, self.dtype, size)
        self._fitting = self.batch_size
        self.streams = streams if on_processor else _GPU_STREAMS
        self._local = threading.local()
        if on_processor and streams > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // self.streams))
        name = str(self.dtype).removeprefix("torch.")
        self.description = f"PyTorch {torch.__version__} on {self.device.type}, {name}"
        network = fold_batch_norms(load_network(checkpoint, options.embeds))
        network = network.to(device=self.device, dtype=self.dtype)
        self.network = network.to(memory_format=torch.channels_last)
        if self.device.type == "cuda":
            # The weights may still be on their way, on a stream that the others do not wait for.
            torch.cuda.synchronize(self.device)

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where other programs have taken a GPU's memory meanwhile, in smaller batches.

        Raises EngineError when not even one photo fits.
        """
        while True:
            size = self._fitting
            parts = (pixels[at : at + size] for at in range(0, len(pixels), size))
            try:
                return np.concatenate([self._run(part, size) for part in parts])
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise EngineError(
                        f"the memory of {self.device} is too small for the network and one photo: "
                        "free some of it, or take --device cpu"
                    ) from None
                self._fitting = min(self._fitting, size // 2)
                _log.warning("%s is short of memory: %d photos at once", self.device, size // 2)
            torch.cuda.empty_cache()

    def _run(self, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        """Batches are filled up to one size, so that a photo's scores do not depend on how many
        photos are beside it, and a device compiles and plans for one shape."""
        count = len(pixels)
        if count < size:
            filler = np.zeros((size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, filler])
        batch = torch.from_numpy(np.ascontiguousarray(pixels))
        with torch.inference_mode(), self._stream():
            if self.device.type == "cuda":
                batch = batch.pin_memory()
            logits = self.network(batch.to(self.device, non_blocking=True)).float().cpu().numpy()
        result: NDArray[np.float32] = logits[:count]
        return result

    def _stream(self) -> AbstractContextManager[object]:
        """Each thread queues its copies and computations on a stream of its own."""
        if self.device.type != "cuda":
            return nullcontext()
        if not hasattr(self._local, "stream"):
            self._local.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        context: AbstractContextManager[object] = torch.cuda.stream(self._local.stream)
        return context


def choose_batch_size(device: torch.device, dtype: torch.dtype, input_size: int) -> int:
    """A power of two: few photos on processors, on a GPU what its free memory holds."""
    if device.type == "cpu":
        return _BATCH_SIZE
    least, most = _GPU_BATCH_SIZES
    if device.type != "cuda":
        return most // 2
    free, _ = torch.cuda.mem_get_info(device)
    photo = input_size**2 * _ACTIVATIONS * dtype.itemsize
    fitting = max(1, int(free * _FREE_SHARE / photo / _GPU_STREAMS))
    return int(min(most, max(least, 2 ** (fitting.bit_length() - 1))))


def fold_batch_norms(network: Normalised) -> Normalised:
    """Fold each batch norm that follows a convolution in a Sequential into its weights."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            names = list(module._modules)
            for name, following in pairwise(names):
                first, second = module._modules[name], module._modules[following]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module._modules[name] = fuse_conv_bn_eval(first, second)
                    module._modules[following] = nn.Identity()
    return network


def load_network(checkpoint: Checkpoint, embeds: bool = False) -> Normalised:
    """The checkpoint's network with its weights and its memory, in float32, for evaluation; with
    `embeds` it gives embeddings behind the logits.

    Raises CheckpointError when they do not fit the architecture, or are no numbers.
    """
    network = load_bare_network(checkpoint)
    stored = {name: torch.from_numpy(np.array(t)) for name, t in checkpoint.memory.items()}
    if stored:
        recogniser = network.network
        try:
            recollection = parse_recollection(stored, len(checkpoint.spec.categories))
            if not isinstance(recogniser, Recogniser) or (
                len(recollection.mean) != recogniser.classifier.in_features
            ):
                raise ValueError("it is another network's")
        except ValueError as problem:
            raise CheckpointError(
                f"{checkpoint.source}: its memory of training photos cannot be used ({problem}); "
                "choose another model"
            ) from None
        network.network = Remembering(recogniser, Memory(recollection)).eval()
    if embeds:
        if not isinstance(network.network, Recogniser | Remembering):
            raise CheckpointError(
                f"{checkpoint.source}: {checkpoint.spec.architecture} gives no embeddings; choose "
                "another model, or do without --embeddings and --match"
            )
        network.network = Embedding(network.network).eval()
    return network


def load_bare_network(checkpoint: Checkpoint) -> Normalised:
    """As `load_network`, without the memory."""
    spec = checkpoint.spec
    classes = len(spec.categories) + 1
    weights = {name: torch.from_numpy(np.array(t)) for name, t in checkpoint.weights.items()}
    with torch.device("meta"):  # so that a spec alone takes no memory
        expected = build_model(spec.architecture, classes).state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        problem = _misfit(expected.get(name), weights.get(name))
        if problem:
            raise CheckpointError(
                f"{checkpoint.source}: the weights do not fit {spec.architecture} with "
                f"{classes} outputs: {name} {problem}; choose another model file"
            )
    network = build_model(spec.architecture, classes)
    network.load_state_dict(weights)
    return Normalised(network.float(), spec.mean, spec.std).eval()


def _misfit(expected: torch.Tensor | None, found: torch.Tensor | None) -> str:
    """What is wrong with a tensor; "" when nothing is."""
    if expected is None:
        return "is not part of it"
    if found is None:
        return "is missing"
    if expected.shape != found.shape:
        return f"has the shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    if expected.is_floating_point() != found.is_floating_point():
        return f"has the type {found.dtype}"
    return "" if bool(torch.isfinite(found).all()) else "holds values that are no numbers"


def choose_device(name: str) -> torch.device:
    """The device by name; `auto` is CUDA, then Apple's MPS, then the processor.

    Raises EngineError for a device that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(name.partition(":")[0], False):
        raise EngineError(f"device {name} is not available here; use --device auto or cpu")
    return torch.device(name)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The number type by name; `auto` is float16 on CUDA, else float32.

    On processors eager bfloat16 is slower than float32 for depthwise networks.
    """
    if name != "auto":
        return _DTYPES[name]
    return torch.float16 if device.type == "cuda" else torch.float32
