"""Exports a model file: TorchScript, ONNX and safetensors, each checked against the original.

python -m training.export --model model.safetensors --out exported
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from geotag.engines import onnx
from geotag.engines.pytorch import load_network
from geotag.errors import EngineError, MissingDependencyError
from geotag.files.atomic import atomic_file
from geotag.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.reports import commands

TOLERANCE = 1e-3
Logits = NDArray[np.float32]
Run = Callable[[NDArray[np.uint8]], Logits]


def export_torchscript(checkpoint: Checkpoint, path: Path) -> Run:
    """A traced network, uint8 (N, S, S, 3) to logits (N, K + 1), for torch.jit.load."""
    size = checkpoint.spec.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch announces a successor of TorchScript
        traced = torch.jit.trace(load_network(checkpoint), example)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
        with atomic_file(path) as file:
            file.write(buffer.getvalue())
        again = torch.jit.load(path).eval()  # type: ignore[no-untyped-call]

    def run(pixels: NDArray[np.uint8]) -> Logits:
        with torch.inference_mode():
            logits: Logits = again(torch.from_numpy(pixels)).numpy()
            return logits

    return run


def export_onnx(checkpoint: Checkpoint, path: Path) -> Run:
    """An ONNX graph of any batch size: input `pixels`, output `logits`."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError("exporting to ONNX", "onnx") from None
    graph = onnx.convert(checkpoint).graph
    with atomic_file(path) as file:
        file.write(graph)
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


def _reading(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a reader of the logits must know."""
    spec = checkpoint.spec
    return {
        "model": checkpoint.header.name,
        "input_size": spec.input_size,
        "fit": spec.fit,
        "temperature": spec.temperature,
        "thresholds": [threshold._asdict() for threshold in spec.thresholds],
        "categories": spec.categories,
    }


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
    OUT/export.json holds what a reader needs: the input's size and fit, the categories in the order
    of the logits, the temperature that divides them, the thresholds.
    """
    checkpoint = load_checkpoint(model)
    original, size = eager(checkpoint), checkpoint.spec.input_size
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, dict[str, Any]] = {}
    for name in formats:
        file, export = FORMATS[name]
        gap = largest_difference(original, export(checkpoint, out / file), size, seed)
        if not gap <= TOLERANCE:
            (out / file).unlink()
            raise EngineError(f"{out / file}: differs from the original by {gap:.2g}; removed")
        report[name] = {"file": file, "bytes": (out / file).stat().st_size, "difference": gap}
        click.echo(f"{out / file}: {report[name]['bytes'] / 1e6:.1f} MB, differs by {gap:.1e}")
    commands.write_json(out / "export.json", {**_reading(checkpoint), "files": report})


if __name__ == "__main__":
    commands.run(main)
