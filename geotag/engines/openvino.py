"""OpenVINO on plain processors: bfloat16 where the processor has it, one thread a stream."""

from __future__ import annotations

import io
import sys
import threading
import warnings
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from geotag.engines.base import EngineOptions
from geotag.engines.conversion import Converted, cached_conversion, convert_apart
from geotag.errors import EngineError, MissingDependencyError
from geotag.files.temporary import TemporaryFolder
from geotag.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
# Eight photos fit a core's own cache with their activations; more of them are no faster.
_BATCH_SIZE = 8
_LOCK = threading.Lock()


class OpenVINOEngine:
    """A network compiled for this processor."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions, streams: int = 1) -> None:
        if options.device not in ("auto", "cpu"):
            raise EngineError(
                f"--engine openvino runs on the CPU, not on {options.device}: take --engine pytorch"
            )
        openvino = _import_openvino()
        with _LOCK:
            core = _core()
        dtype = _choose_dtype(options.dtype, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        self.batch_size = options.batch_size or _BATCH_SIZE
        self.streams = streams
        self.description = f"OpenVINO {openvino.__version__.split('-')[0]} on cpu, {dtype}"
        settings = {"INFERENCE_PRECISION_HINT": _DTYPES[dtype], "NUM_STREAMS": self.streams}
        if self.streams > 1:
            # Decoding uses the same cores: let the system place the threads.
            settings |= {"INFERENCE_NUM_THREADS": self.streams, "ENABLE_CPU_PINNING": False}
        compiled = _compile(core, checkpoint, options.embeds, self.batch_size, settings)
        self._compiled = core.import_model(io.BytesIO(compiled), "CPU", settings)
        # OpenVINO makes its table of types at the first use; two threads at once wait for ever.
        self._compiled.input(0).get_element_type().to_dtype()
        # Not one for each thread: a thread that ends while Python does must not destroy any.
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Batches are filled up to the one size that the network is compiled for."""
        count = len(pixels)
        if count < self.batch_size:
            filler = np.zeros((self.batch_size - count, *pixels.shape[1:]), np.uint8)
            pixels = np.concatenate([pixels, filler])
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        request.infer([np.ascontiguousarray(pixels)], share_inputs=True)
        logits: NDArray[np.float32] = request.get_output_tensor().data[:count].astype(np.float32)
        self._idle.put(request)
        return logits


def _import_openvino() -> Any:
    """OpenVINO without the package that reports each use of it to Intel."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise MissingDependencyError("the OpenVINO engine", "openvino") from None
    return openvino


@cache
def _core() -> Any:
    """The one core of this process, which stays: it gives the thread that makes it a stack for
    signals, and if another thread ended it, the first would have none when a signal comes."""
    return _import_openvino().Core()


def _choose_dtype(name: str, capabilities: list[str]) -> str:
    """`auto` is bfloat16 on processors that compute in it; others would only emulate it."""
    if name != "auto":
        return name
    return "bfloat16" if "BF16" in capabilities else "float32"


def _compile(
    core: Any, checkpoint: Checkpoint, embeds: bool, batch_size: int, settings: dict[str, Any]
) -> bytes:
    """The network optimised for this processor, as kept in the cache: half of a compilation."""
    import openvino

    name = f"openvino {openvino.__version__} 2{' with embeddings' * embeds}"
    convert = _convert_embedding if embeds else _convert
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    processor = core.get_property("CPU", "FULL_DEVICE_NAME"), sorted(capabilities)

    def compile_(checkpoint: Checkpoint) -> Converted:
        converted = cached_conversion(checkpoint, name, lambda c: convert_apart(c, convert))
        model = core.read_model(converted.graph, converted.weights)
        size = checkpoint.spec.input_size
        model.reshape([batch_size, size, size, 3])
        exported = io.BytesIO()
        core.compile_model(model, "CPU", settings).export_model(exported)
        return Converted(exported.getvalue())

    return cached_conversion(
        checkpoint, f"{name} {batch_size} {settings} {processor}", compile_
    ).graph


def _convert_embedding(checkpoint: Checkpoint) -> Converted:
    return _convert(checkpoint, embeds=True)


def _convert(checkpoint: Checkpoint, embeds: bool = False) -> Converted:
    """By OpenVINO's PyTorch frontend; openvino.convert_model only adds guesses to it."""
    openvino = _import_openvino()
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from geotag.engines.pytorch import load_network

    size = checkpoint.spec.input_size
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        decoder = TorchScriptPythonDecoder(load_network(checkpoint, embeds), example_input=example)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    pixels = model.inputs[0].get_node()
    pixels.set_element_type(openvino.Type.u8)
    pixels.set_partial_shape(openvino.PartialShape([-1, size, size, 3]))
    model.validate_nodes_and_infer_types()
    with TemporaryFolder() as folder:
        graph = Path(folder, "model.xml")
        openvino.save_model(model, graph, compress_to_fp16=False)
        return Converted(graph.read_bytes(), graph.with_suffix(".bin").read_bytes())
