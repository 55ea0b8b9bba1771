"""PyTorch on CUDA, Apple or plain processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from geotag.checkpoint import Checkpoint
from geotag.engines.base import EngineOptions
from geotag.errors import CheckpointError, EngineError
from geotag.model import Normalised, build_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class PyTorchEngine:
    """Eager PyTorch, channels last, in inference mode."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        self.device = choose_device(options.device)
        self.dtype = choose_dtype(options.dtype, self.device)
        self.batch_size = options.batch_size
        name = str(self.dtype).removeprefix("torch.")
        self.description = f"PyTorch {torch.__version__} on {self.device.type}, {name}"
        network = load_network(checkpoint).to(device=self.device, dtype=self.dtype)
        self.network = network.to(memory_format=torch.channels_last)

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Batches are filled up to one size, so that a photo's scores do not hang on its
        neighbours' number, and a device compiles and plans for one shape."""
        count = len(pixels)
        if count < self.batch_size:
            filler = np.zeros((self.batch_size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, filler])
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
            logits = self.network(batch).float().cpu().numpy()
        result: NDArray[np.float32] = logits[:count]
        return result


def load_network(checkpoint: Checkpoint) -> Normalised:
    """The checkpoint's network with its weights, in float32, ready for evaluation.

    Raises CheckpointError when the weights do not fit the architecture.
    """
    spec = checkpoint.spec
    network = build_model(spec.architecture, len(spec.categories) + 1)
    weights = {name: torch.from_numpy(np.array(t)) for name, t in checkpoint.tensors.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit {spec.architecture}: {error}") from error
    return Normalised(network.float(), spec.mean, spec.std).eval()


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
    """The number type by name; `auto` is float16 on GPUs, bfloat16 on processors that have it."""
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and _has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _has_bfloat16() -> bool:
    capability = torch.backends.cpu.get_cpu_capability()
    if not capability.startswith("AVX512"):
        return False
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe()) if probe is not None else False
