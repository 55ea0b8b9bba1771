"""Exports a model file: TorchScript, ONNX and safetensors, each checked against the original.

python -m training.export --model model.safetensors --out exported
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from geotag.atomic import atomic_file
from geotag.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geotag.engines.pytorch import load_network
from geotag.errors import EngineError, MissingDependencyError
from training import commands

TOLERANCE = 1e-3
Logits = NDArray[np.float32]
Run = Callable[[NDArray[np.uint8]], Logits]


def export_torchscript(checkpoint: Checkpoint, path: Path) -> Run:
    """A traced network, uint8 (N, S, S, 3) to logits (N, K + 1), for torch.jit.load."""
    size = checkpoint.spec.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch announces a successor of TorchScript
        traced = torch.jit.trace(load_network(checkpoint), example)
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
        with atomic_file(path) as file:
            file.write(buffer.getvalue())
        again = torch.jit.load(io.BytesIO(path.read_bytes())).eval()

    def run(pixels: NDArray[np.uint8]) -> Logits:
        with torch.inference_mode():
            logits: Logits = again(torch.from_numpy(pixels)).numpy()
            return logits

    return run


def export_onnx(checkpoint: Checkpoint, path: Path) -> Run:
    """An ONNX graph of any batch size: input `pixels`, output `logits`."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  what torch.onnx needs, and says less plainly
    except ImportError:
        raise MissingDependencyError("exporting to ONNX", "onnx") from None
    size = checkpoint.spec.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            load_network(checkpoint), (example,), dynamo=True, verbose=False,
            input_names=["pixels"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("photos")},),
        )  # fmt: skip
    if program is None:
        raise EngineError("torch could not convert this model to ONNX")
    program.save(buffer)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.uint8]) -> Logits:
        logits: Logits = session.run(None, {"pixels": pixels})[0]
        return logits

    return run


def export_safetensors(checkpoint: Checkpoint, path: Path) -> Run:
    """geotag's own model file, written anew."""
    save_checkpoint(path, checkpoint.spec, checkpoint.tensors)
    return eager(load_checkpoint(path))


def eager(checkpoint: Checkpoint) -> Run:
    """The network as the original runs it, in float32."""
    network = load_network(checkpoint)

    def run(pixels: NDArray[np.uint8]) -> Logits:
        with torch.inference_mode():
            logits: Logits = network(torch.from_numpy(pixels)).numpy()
            return logits

    return run


FORMATS: dict[str, tuple[str, Callable[[Checkpoint, Path], Run]]] = {
    "torchscript": ("model.pt", export_torchscript),
    "onnx": ("model.onnx", export_onnx),
    "safetensors": ("model.safetensors", export_safetensors),
}


def largest_difference(original: Run, exported: Run, size: int, seed: int) -> float:
    """The largest gap between logits over random pictures, in batches of one and of three."""
    rng = np.random.default_rng(seed)
    gaps = []
    for count in (1, 3):
        pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        gaps.append(np.abs(original(pixels) - exported(pixels)).max())
    return float(max(gaps))


@click.command("training.export")
@commands.MODEL
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(list(FORMATS)),
    default=tuple(FORMATS), show_default=True, help="Repeatable.",
)  # fmt: skip
@commands.SEED
@commands.OUT
def main(model: Path | None, formats: tuple[str, ...], seed: int, out: Path) -> None:
    """Export a model to other formats.

    Each takes RGB pictures as uint8 (N, S, S, 3), normalises them itself and gives logits, the
    background last. Each is loaded again and must give the original's logits to 0.001.
    """
    checkpoint = load_checkpoint(model)
    original, size = eager(checkpoint), checkpoint.spec.input_size
    out.mkdir(parents=True, exist_ok=True)
    report = {}
    for name in formats:
        file, export = FORMATS[name]
        gap = largest_difference(original, export(checkpoint, out / file), size, seed)
        if not gap <= TOLERANCE:
            (out / file).unlink()
            raise EngineError(f"{out / file}: differs from the original by {gap:.2g}; removed")
        report[name] = {"file": file, "bytes": (out / file).stat().st_size, "difference": gap}
        click.echo(f"{out / file}: {report[name]['bytes'] / 1e6:.1f} MB, differs by {gap:.1e}")
    commands.write_json(out / "export.json", {"model": checkpoint.header.name, **report})


if __name__ == "__main__":
    commands.run(main)
