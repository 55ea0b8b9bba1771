"""Classification end to end, beside its two ceilings, the study's way and a plain DataLoader.

geotag runs as a command, from process start to the finished table with a new catalog; the others
run here, with everything imported and their models loaded, which favours them. On processors
decoding and network share the cores, so beside the lower of the two ceilings stands what both
together leave if every photo is decoded and classified: 1 / (1 / decoder + 1 / network). A scan
beats that where it need not do both for every photo.

A process's start, a second or two, is counted: give it a `--count` beside which that weighs little.
All files lie in the page cache: from a disk or a network, the bytes that the cascade does not read
would save more.

What did not pay, and is not in geotag: decoding 12 megapixels to a quarter instead of an eighth
(scores a little nearer to those of whole photos, a third more work); filters other than bilinear;
the whole network on thumbnails (a third of the cost of a photo, and more photos read in vain); a
classifier fitted to thumbnails, for the backbone or both (a share of the classifier that is there
rejects as many, and knows all landmarks); the backbone at 160 pixels (twice as much read in vain)
or 224 (a third more work for a few photos less); the greatest confidence instead of the probability
of any landmark (half as many rejected).
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import numpy as np

from benchmarks import options
from benchmarks.decode import decode_file, whole
from benchmarks.engine import run_in_streams
from benchmarks.library import MEGAPIXELS_12, PIXELS_800, Kind, make_mixed_library
from benchmarks.timing import paired, rate, ratio, report, run_quietly
from geotag.categories import ModelCategories
from geotag.decision import parse_scores
from geotag.engines import build_engine
from geotag.engines.base import Engine, EngineOptions
from geotag.model.checkpoint import Checkpoint, load_checkpoint
from geotag.runners.base import available_cores

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

SCAN = "geotag scan, from process start"
FULL = "geotag scan --no-cascade"
DECODER, NETWORK = "the decoder alone, all cores", "the network alone, all cores"
STUDY = "the study's way: whole decode, VGG16, one at a time"
LOADER = "DataLoader, whole decode, the same network in float32"


def command_line(model: Path | None, folder: Path, table: Path, *more: str) -> list[str]:
    """A scan as a command."""
    chosen = ["--model", str(model)] if model else []
    scan = [sys.executable, "-m", "geotag", "scan", "-q", str(folder), "--out", str(table)]
    return [*scan, *chosen, *more]


class Scanned(NamedTuple):
    """What a scan read, and what it made of each photo: a landmark or nothing."""

    bytes: int
    tags: dict[str, str]


def scan_anew(model: Path | None, source: Path, *more: str) -> Scanned:
    """A scan into a table and catalog that are thrown away."""
    with tempfile.TemporaryDirectory() as scratch:
        table, before = Path(scratch, "tags.csv"), bytes_read()
        run_quietly(command_line(model, source, table, *more))
        taken = bytes_read() - before
        with table.open(encoding="utf-8-sig", newline="") as file:
            return Scanned(taken, {row["path"]: row["landmark"] for row in csv.DictReader(file)})


def bytes_read() -> int:
    """What this process and those it waited for have read; 0 where the system does not count it."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0


def cascade(scanned: Scanned, full: Scanned, start: int, count: int) -> dict[str, object]:
    """What the cascade spares and loses; `start` is how much is read for but one photo."""
    tagged = {path for path, landmark in full.tags.items() if landmark}
    return {
        "bytes read a photo": (scanned.bytes - start) / count,
        "bytes read a photo, without the cascade": (full.bytes - start) / count,
        "tags without the cascade": len(tagged),
        "tags lost by the cascade": sum(scanned.tags[path] != full.tags[path] for path in tagged),
    }


def study(paths: list[Path]) -> Callable[[], None]:
    """Pillow decodes all pixels, VGG16 in float32 classifies one photo after the other."""
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
        return whole(self.paths[at], self.size).copy()  # torch wants to own it


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
    checkpoint: Checkpoint,
    tags: dict[str, str],
    paths: list[Path],
    logits: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> dict[str, object]:
    """How many photos get the same tag or none, and by how much the greatest scores differ.

    `tags` are a scan's; `logits` are those of the engine and of a decode to scale.
    """
    spec = checkpoint.spec
    names = ModelCategories(spec.own_categories)
    threshold = spec.threshold_for(0.99)
    both = (parse_scores(some, spec.categories, spec.temperature) for some in (logits, expected))
    tops = [(a.top[0], b.top[0]) for a, b in zip(*both, strict=True)]
    wanted = [names.by_slug(b.slug).name if b.confidence >= threshold else "" for _, b in tops]
    same = [tags[str(path)] == name for path, name in zip(paths, wanted, strict=True)]
    differences = np.array([abs(a.confidence - b.confidence) for a, b in tops])
    return {
        "photos compared with whole decode and float32": len(paths),
        "of which tagged": sum(map(bool, wanted)),
        "same decision": f"{np.mean(same):.2%}",
        "first score within 0.02": f"{np.mean(differences <= 0.02):.2%}",
        "greatest difference of a first score": float(differences.max()),
    }


class Photos(NamedTuple):
    """A library to measure on."""

    title: str
    kind: Kind
    folder: Path
    paths: list[Path]


@click.command("scan")
@options.MODEL
@options.LIBRARY
@options.sized(1000, 5, share=4, few=2)
@options.distinct(40)
@options.LANDMARKS
@options.OTHERS
@options.PEERS
@options.JSON
def command(
    model: Path | None, library: Path, count: int, repeats: int, distinct: int,
    landmarks: Path | None, others: Path | None, peers: bool, out: Path | None,
) -> None:  # fmt: skip
    """Cameras' photos with and without thumbnails, and an upload bucket's; files in the cache."""
    checkpoint = load_checkpoint(model)
    engine = build_engine(checkpoint, EngineOptions(), available_cores())
    for title, kind in (
        ("12 megapixels", Kind(MEGAPIXELS_12)),
        ("12 megapixels without thumbnails", Kind(MEGAPIXELS_12, thumbnail=False)),
        ("800 pixels without thumbnails", Kind(PIXELS_800, thumbnail=False)),
    ):
        name = f"scan-{count}-{kind.size[0]}-{kind.thumbnail}{'-pictures' if landmarks else ''}"
        folder = library / name
        paths = make_mixed_library(folder, count, kind, landmarks, others, distinct)
        photos = Photos(title, kind, folder, paths)
        where = out and out.with_stem(f"{out.stem}-{title.replace(' ', '-')}")
        measure(photos, model, engine, repeats, peers, where)


def measure(
    photos: Photos, model: Path | None, engine: Engine, repeats: int, peers: bool, out: Path | None
) -> None:
    """One library: a scan beside its ceilings and peers."""
    checkpoint = load_checkpoint(model)
    title, _, folder, paths = photos
    count = len(paths)
    some = paths[:: max(1, count // 128)]  # for the peers, which take long
    with ThreadPoolExecutor(available_cores()) as pool:
        to_scale = partial(decode_file, size=checkpoint.spec.input_size, fit=checkpoint.spec.fit)
        decoded = np.stack(list(pool.map(to_scale, paths)))
        scans: dict[str, Scanned] = {}

        def scan(name: str, *more: str) -> None:
            scans[name] = scan_anew(model, folder, *more)

        runs: dict[str, Callable[[], object]] = {
            SCAN: partial(scan, SCAN),
            FULL: partial(scan, FULL, "--no-cascade"),
            DECODER: lambda: list(pool.map(to_scale, paths)),
            NETWORK: partial(run_in_streams, engine, decoded),
        }
        counts = dict.fromkeys(runs, count)
        if peers:
            few = some[: max(4, len(some) // 4)]
            runs |= {STUDY: study(few), LOADER: plain_loader(checkpoint, some)}
            counts |= {STUDY: len(few), LOADER: len(some)}
        timings = paired(runs, repeats)
    notes: dict[str, object] = {"engine": engine.description}
    notes |= cascade(scans[SCAN], scans[FULL], scan_anew(model, paths[0]).bytes, count)
    speeds = {run: rate(timings, counts, run) for run in (SCAN, FULL, DECODER, NETWORK)}
    for how, at in (("by the clock", 0), ("by processor time", 1)):
        decoder, network = speeds[DECODER][at], speeds[NETWORK][at]
        shared = 1 / (1 / decoder + 1 / network)
        for run in (SCAN, FULL):
            scanned = speeds[run][at]
            notes[f"{run}: share of the lower ceiling, {how}"] = scanned / min(decoder, network)
            notes[f"{run}: share of what both leave on shared cores, {how}"] = scanned / shared
    if peers:
        for run in (SCAN, FULL):
            for peer in (STUDY, LOADER):
                clock, processor = ratio(timings, counts, run, peer)
                times = f"{clock:.1f} by the clock, {processor:.1f} by processor"
                notes[f"{run}: times {peer}"] = times
        rows = [paths.index(path) for path in some]
        notes |= decisions(
            checkpoint,
            scans[SCAN].tags,
            some,
            run_in_streams(engine, decoded[rows]),
            plain_loader(checkpoint, some)(),
        )
    report(f"scan of {count} photos of {title}", timings, counts, SCAN, out, notes)
