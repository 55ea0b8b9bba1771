"""The network alone: every engine and number type, beside eager PyTorch in float32.

What did not pay, and is not in geotag: larger batches on processors (eight photos fit a core's
cache, 32 do not); one batch over all cores instead of one a core; eager bfloat16 on processors
for depthwise networks; torch.compile (Inductor) in bfloat16, half the rate of OpenVINO and a minute
to start. `--peers` measures the first two and the last again. Neither float16 in OpenVINO, which
such processors compute as bfloat16 or more slowly than float32, nor int8 (NNCF, after training): at
most 1.4 times bfloat16 on processors with AMX, for a loss of recall: see docs/speed.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from PIL import Image

from benchmarks import options
from benchmarks.library import draw_scene
from benchmarks.timing import paired, ratio, report
from geotag.decision import parse_scores
from geotag.decoding.transforms import preprocess
from geotag.engines import build_engine
from geotag.engines.base import Engine, EngineOptions
from geotag.errors import EngineError, MissingDependencyError
from geotag.model.checkpoint import Checkpoint, load_checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = "pytorch float32"
MOBILENET = "torchvision's mobilenet_v2, eager float32, 224 pixels"
_MOBILENET_BATCH = 32
_TRIED = (
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "float16"),
    ("onnx", "float32"),
    ("pytorch", "bfloat16"),
)


def pixels_for(checkpoint: Checkpoint, pictures: list[Path], count: int) -> NDArray[np.uint8]:
    """The network's input: pictures from files, else drawn scenes."""
    size, fit = checkpoint.spec.input_size, checkpoint.spec.fit
    if pictures:
        images: list[Image.Image] = [Image.open(path) for path in pictures[:count]]
    else:
        images = [draw_scene((400, 300), seed) for seed in range(count)]
    return np.stack([preprocess(image, size, fit) for image in images])


def run_in_streams(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """All photos, from as many threads as the engine has streams."""
    size = engine.batch_size
    batches = [pixels[at : at + size] for at in range(0, len(pixels), size)]
    with ThreadPoolExecutor(engine.streams) as pool:
        return np.concatenate(list(pool.map(engine.predict, batches)))


def engines(checkpoint: Checkpoint, peers: bool) -> dict[str, Engine]:
    """All engines that can be built here, by what they are."""
    cores = os.cpu_count() or 1
    built = {}
    for name, dtype in (("pytorch", "float32"), *_TRIED):
        try:
            options = EngineOptions(name, "cpu", dtype)
            built[f"{name} {dtype}"] = build_engine(checkpoint, options, cores)
        except (EngineError, MissingDependencyError) as error:
            click.echo(f"{name} {dtype}: {error}", err=True)
    if peers and "openvino bfloat16" in built:
        options = EngineOptions("openvino", "cpu", "bfloat16", 32)
        built["openvino bfloat16, batches of 32"] = build_engine(checkpoint, options, cores)
        built["openvino bfloat16, one stream of all cores"] = build_engine(checkpoint, options, 1)
    if peers:
        built["torch.compile bfloat16"] = compiled(checkpoint, cores)
    return built


def compiled(checkpoint: Checkpoint, cores: int) -> Engine:
    """The PyTorch engine with its network compiled by Inductor."""
    from geotag.engines.pytorch import PyTorchEngine

    engine = PyTorchEngine(checkpoint, EngineOptions("pytorch", "cpu", "bfloat16"), cores)
    engine.network.compile()
    return engine


def mobilenet(batches: int) -> Callable[[], None]:
    """A network that many know, as it comes: eager, in float32, one batch on all cores."""
    import torch
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2(weights=None).eval()
    pictures = torch.rand(_MOBILENET_BATCH, 3, 224, 224)

    def run() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)
        with torch.inference_mode():
            for _ in range(batches):
                network(pictures)
        torch.set_num_threads(threads)

    return run


@click.command("engine")
@options.MODEL
@options.sized(512, 5, share=4, few=3)
@options.PICTURES
@options.PEERS
@options.JSON
def command(
    model: Path | None, count: int, repeats: int, pictures: Path | None, peers: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Pixels in memory, engines loaded; agreement is with eager PyTorch in float32."""
    checkpoint = load_checkpoint(model)
    files = sorted(pictures.rglob("*.jpg")) if pictures else []
    pixels = pixels_for(checkpoint, files[:: max(1, len(files) // count)], count)
    runs: dict[str, Callable[[], object]] = {}
    notes: dict[str, object] = {}
    expected = None
    built = engines(checkpoint, peers)
    for name, engine in built.items():
        logits = run_in_streams(engine, pixels)
        expected = logits if expected is None else expected
        notes[f"{name}: same first choice, greatest difference of a score"] = agreement(
            checkpoint, logits, expected
        )
        runs[name] = lambda engine=engine: run_in_streams(engine, pixels)  # type: ignore[misc]
    counts = dict.fromkeys(runs, len(pixels))
    if peers:
        batches = max(1, count // _MOBILENET_BATCH)
        runs[MOBILENET] = mobilenet(batches)
        counts[MOBILENET] = batches * _MOBILENET_BATCH
    timings = paired(runs, repeats)
    fastest = max(built, key=lambda name: ratio(timings, counts, name, REFERENCE).processor)
    notes["fastest"] = fastest
    if peers:
        clock, processor = ratio(timings, counts, fastest, MOBILENET)
        times = f"{clock:.1f} by the clock, {processor:.1f} by processor"
        notes[f"{fastest}: times {MOBILENET}"] = times
    report(f"engines on {checkpoint.header.name}", timings, counts, REFERENCE, out, notes)


def agreement(
    checkpoint: Checkpoint, logits: NDArray[np.float32], expected: NDArray[np.float32]
) -> str:
    """How often the first choice is the same, and by how much scores differ at most."""
    spec = checkpoint.spec
    pairs = list(
        zip(
            parse_scores(logits, spec.categories, spec.temperature),
            parse_scores(expected, spec.categories, spec.temperature),
            strict=True,
        )
    )
    same = sum(a.top[0].slug == b.top[0].slug for a, b in pairs) / len(pairs)
    difference = max(abs(a.top[0].confidence - b.top[0].confidence) for a, b in pairs)
    return f"{same:.2%}, {difference:.4f}"
