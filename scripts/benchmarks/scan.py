"""Classification end to end, beside its two ceilings, the study's way and a plain DataLoader.

geotag runs as a command, from process start to the finished table with a new catalog; the others
run here, with everything imported and their models loaded, which favours them. On processors
decoding and network share the cores, so beside the lower of the two ceilings stands what both
together leave: 1 / (1 / decoder + 1 / network).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from benchmarks.decode import decode_file, whole
from benchmarks.engine import run_on_lanes
from benchmarks.library import MEGAPIXELS_12, PIXELS_800, Kind, make_library, pictures_in
from benchmarks.timing import paired, rate, ratio, report, run_quietly
from geotag.checkpoint import Checkpoint, load_checkpoint
from geotag.decision import parse_scores
from geotag.engines import build_engine
from geotag.engines.base import EngineOptions
from geotag.pipeline import available_cores

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

SCAN = "geotag scan, from process start"
DECODER, NETWORK = "the decoder alone, all cores", "the network alone, all cores"
STUDY = "the study's way: whole decode, VGG16, one at a time"
LOADER = "DataLoader, whole decode, the same network in float32"


def command_line(model: Path | None, folder: Path, table: Path, *more: str) -> list[str]:
    """A scan as a command."""
    chosen = ["--model", str(model)] if model else []
    scan = [sys.executable, "-m", "geotag", "scan", "-q", str(folder), "--out", str(table)]
    return [*scan, *chosen, *more]


def scan_anew(model: Path | None, folder: Path, *more: str) -> None:
    """A scan into a table and catalog that are thrown away."""
    with tempfile.TemporaryDirectory() as scratch:
        run_quietly(command_line(model, folder, Path(scratch, "tags.csv"), *more))


def study(paths: list[Path]) -> Callable[[], None]:
    """Pillow decodes all pixels, VGG16 in float32 looks at one photo after the other."""
    import torch
    from torchvision.models import vgg16

    network = vgg16(weights=None, num_classes=50).eval()

    def run() -> None:
        with torch.inference_mode():
            for path in paths:
                pixels = torch.from_numpy(whole(path, 224).copy()).permute(2, 0, 1)[None]
                network(pixels.float() / 255).argmax(1).item()

    return run


class WholePhotos:
    """A data set as torch's DataLoader takes it: photos decoded whole."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths = paths
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: int) -> NDArray[np.uint8]:
        return whole(self.paths[at], self.size)


def plain_loader(checkpoint: Checkpoint, paths: list[Path]) -> Callable[[], NDArray[np.float32]]:
    """torch's DataLoader with a process for each core, and the same network in eager float32."""
    import torch
    from torch.utils.data import DataLoader

    from geotag.engines.pytorch import load_network

    network = load_network(checkpoint)
    photos = WholePhotos(paths, checkpoint.spec.input_size)
    workers = available_cores()

    def run() -> NDArray[np.float32]:
        loader: DataLoader[torch.Tensor] = DataLoader(photos, 32, num_workers=workers)  # type: ignore[arg-type]
        with torch.inference_mode():
            return np.concatenate([network(batch).numpy() for batch in loader])

    return run


def decisions(
    checkpoint: Checkpoint, logits: NDArray[np.float32], expected: NDArray[np.float32]
) -> dict[str, object]:
    """How many photos get the same tag or none, and by how much the greatest scores differ."""
    spec = checkpoint.spec
    threshold = spec.threshold_for(0.99)
    both = (parse_scores(some, spec.categories, spec.temperature) for some in (logits, expected))
    tops = [(a.top[0], b.top[0]) for a, b in zip(*both, strict=True)]
    same = [
        (a.confidence >= threshold, a.slug if a.confidence >= threshold else "")
        == (b.confidence >= threshold, b.slug if b.confidence >= threshold else "")
        for a, b in tops
    ]
    differences = np.array([abs(a.confidence - b.confidence) for a, b in tops])
    return {
        "same decision as whole decode and float32": f"{np.mean(same):.2%}",
        "difference of the first score, 99th percentile": float(np.percentile(differences, 99)),
        "photos whose first score differs by more than 0.02": f"{np.mean(differences > 0.02):.2%}",
    }


@click.command("scan")
@click.option("--model", type=click.Path(path_type=Path), help="Model file [built-in].")
@click.option("--library", type=click.Path(path_type=Path), help="Where to keep the photos.")
@click.option("--count", default=400, show_default=True, help="Photos of each size.")
@click.option("--distinct", default=24, show_default=True, help="How many differ in their pixels.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--pictures", type=click.Path(path_type=Path), help="Folder of scenes to use.")
@click.option("--peers/--no-peers", default=True, help="Run the study's way and DataLoader, too.")
@click.option("--quick", is_flag=True, help="A quarter of the photos, two repeats.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures here.")
def command(
    model: Path | None,
    library: Path | None,
    count: int,
    distinct: int,
    repeats: int,
    pictures: Path | None,
    peers: bool,
    quick: bool,
    out: Path | None,
) -> None:
    """All photos are read (--no-cascade); files in the page cache."""
    if quick:
        count, repeats = count // 4, 2
    library = library or Path(tempfile.gettempdir(), "geotag-benchmark")
    checkpoint = load_checkpoint(model)
    size, fit = checkpoint.spec.input_size, checkpoint.spec.fit
    cores = available_cores()
    engine = build_engine(checkpoint, EngineOptions(), cores)
    for name, pixels in (("12 megapixels", MEGAPIXELS_12), ("800 pixels", PIXELS_800)):
        folder = library / f"scan-{count}-{pixels[0]}{'-pictures' if pictures else ''}"
        scenes = pictures_in(pictures, count)
        paths = make_library(folder, count, Kind(pixels), scenes, distinct)
        some = paths[: max(4, count // 16)]
        with ThreadPoolExecutor(cores) as pool:
            to_scale = partial(decode_file, size=size, fit=fit)
            decoded = np.stack(list(pool.map(to_scale, paths)))
            runs: dict[str, Callable[[], object]] = {
                SCAN: partial(scan_anew, model, folder, "--no-cascade"),
                DECODER: lambda p=paths, d=to_scale, e=pool: list(e.map(d, p)),  # type: ignore[misc]
                NETWORK: partial(run_on_lanes, engine, decoded),
            }
            counts = dict.fromkeys(runs, count)
            if peers:
                runs |= {STUDY: study(some), LOADER: plain_loader(checkpoint, paths)}
                counts |= {STUDY: len(some), LOADER: count}
            timings = paired(runs, repeats)
        notes: dict[str, object] = {"engine": engine.description}
        speeds = [rate(timings, counts, run) for run in (SCAN, DECODER, NETWORK)]
        for how, at in (("by the clock", 0), ("by processor time", 1)):
            scanned, decoder, network = (speed[at] for speed in speeds)
            notes[f"share of the lower ceiling, {how}"] = scanned / min(decoder, network)
            shared = 1 / (1 / decoder + 1 / network)
            notes[f"share of what both leave on shared cores, {how}"] = scanned / shared
        if peers:
            for peer in (STUDY, LOADER):
                clock, processor = ratio(timings, counts, SCAN, peer)
                notes[f"times {peer}"] = f"{clock:.1f} by the clock, {processor:.1f} by processor"
            expected = plain_loader(checkpoint, paths)()
            notes |= decisions(checkpoint, run_on_lanes(engine, decoded), expected)
        where = out and out.with_stem(f"{out.stem}-{pixels[0]}")
        report(f"scan of {count} photos of {name}", timings, counts, SCAN, where, notes)


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    command(arguments)
