"""ONNX Runtime on plain processors."""

from __future__ import annotations

import os
import warnings
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from geotag.engines.base import EngineOptions
from geotag.engines.conversion import Converted, cached_conversion
from geotag.errors import EngineError, MissingDependencyError
from geotag.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH_SIZE = 8


class OnnxEngine:
    """A network in an ONNX Runtime session, in float32."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions, streams: int = 1) -> None:
        if options.device not in ("auto", "cpu"):
            raise EngineError(
                f"--engine onnx runs on the CPU, not on {options.device}: take --engine pytorch"
            )
        if options.dtype not in ("auto", "float32"):
            raise EngineError(f"--engine onnx computes in float32, not in {options.dtype}")
        try:
            import onnxruntime
        except ImportError:
            raise MissingDependencyError("the ONNX Runtime engine", "onnx") from None
        self.batch_size = options.batch_size or _BATCH_SIZE
        self.streams = streams
        self.description = f"ONNX Runtime {onnxruntime.__version__} on cpu, float32"
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = max(1, (os.cpu_count() or 1) // self.streams)
        settings.log_severity_level = 3
        name = f"onnx 1{' with embeddings' * options.embeds}"
        converted = cached_conversion(checkpoint, name, partial(convert, embeds=options.embeds))
        self._session = onnxruntime.InferenceSession(
            converted.graph, settings, providers=["CPUExecutionProvider"]
        )

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The batch may have any size."""
        logits: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return logits


def convert(checkpoint: Checkpoint, embeds: bool = False) -> Converted:
    """An ONNX graph of any batch size: input `pixels`, output `logits`."""
    try:
        import onnxscript  # noqa: F401  needed by torch.onnx, whose message is less plain
    except ImportError:
        raise MissingDependencyError("converting a model for ONNX Runtime", "onnx") from None
    import torch

    from geotag.engines.pytorch import load_network

    size = checkpoint.spec.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            load_network(checkpoint, embeds),
            (example,),
            dynamo=True,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("photos")},),
            verbose=False,
        )
    if program is None:
        raise EngineError("this model cannot be converted for ONNX Runtime: take another --engine")
    return Converted(program.model_proto.SerializeToString())
