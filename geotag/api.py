"""What `import geotag` offers: scan, write and revert a library, recognise single pictures."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from geotag.engines.base import EngineOptions
from geotag.errors import MissingDependencyError, UsageError
from geotag.model.spec import PRECISION
from geotag.options import ScanOptions, check, check_options, parse_since
from geotag.pipeline import Progress, Scan, scan_library
from geotag.places.private import Zone, checked_zone
from geotag.records import Outcome, Status
from geotag.sources.base import Filters
from geotag.sources.shards import parse_shard
from geotag.state.catalog import open_catalog
from geotag.tables import STDOUT, read_table, table_format
from geotag.tables.base import FLOATS
from geotag.tables.parts import part_path
from geotag.writing.chosen import choose_surely
from geotag.writing.result import WriteResult
from geotag.writing.runs import revert_writes, write_table_tags
from geotag.writing.writeback import WriteOptions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from PIL import Image

    from geotag.recognition.predictor import Predictor

    Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

PathText = str | os.PathLike[str]
Sources = PathText | Iterable[PathText]
_P = ParamSpec("_P")
_R = TypeVar("_R")


def scan_rows(
    sources: Sources,
    *,
    out: PathText | None = None,
    catalog: PathText | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    follow_symlinks: bool = False,
    since: str | None = None,
    classify_all: bool = False,
    min_precision: float = PRECISION,
    threshold: float | None = None,
    prevalence: float | None = None,
    top_k: int = 5,
    cascade: bool = True,
    places: bool = False,
    tracks: Iterable[PathText] = (),
    clock_offsets: Mapping[str, float] | None = None,
    private: Iterable[tuple[float, float, float]] = (),
    language: str | None = None,
    match: bool = False,
    shard: str | None = None,
    limit: int | None = None,
    max_time: float | None = None,
    rescan: bool = False,
    prune: bool = False,
    allow_empty: bool = False,
    replace: bool = False,
    workers: int | None = None,
    engine: str = "auto",
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | None = None,
    model: PathText | None = None,
    runner: str = "local",
    address: str | None = None,
    embeddings: PathText | None = None,
) -> Iterator[Outcome]:
    """As `scan`, but gives the rows one by one as records, and needs no pandas.

    The scan is done when the first row is asked for. Options are checked at once.
    """
    names = _names(sources)
    if not names:
        raise UsageError("nothing to scan: name at least one folder or file")
    if out == STDOUT:
        raise UsageError("out must be a file or an object in a bucket")
    if out is not None:
        table_format(os.fspath(out))
    options = ScanOptions(
        filters=Filters(
            _globs(include),
            _globs(exclude),
            follow_symlinks,
            parse_since(since) if since is not None else None,
        ),
        catalog=os.fspath(catalog) if catalog is not None else None,
        model=Path(model) if model is not None else None,
        engine_options=EngineOptions(engine, device, dtype, batch_size),
        workers=workers,
        runner=runner,
        classify_all=classify_all,
        min_precision=min_precision,
        threshold=threshold,
        prevalence=prevalence,
        embeddings=os.fspath(embeddings) if embeddings is not None else None,
        top_k=top_k,
        limit=limit,
        max_time=max_time,
        rescan=rescan,
        prune=prune,
        allow_empty=allow_empty,
        replace=replace,
        address=address,
        cascade=cascade,
        places=places,
        tracks=tuple(os.fspath(track) for track in tracks),
        clock_offsets=tuple((clock_offsets or {}).items()),
        private=_zones(private),
        language=language,
        match=match,
        shard=parse_shard(shard) if shard is not None else None,
    )
    check_options(options)
    if options.embeds and out is None:
        raise UsageError("embeddings and match are kept beside a table: give out as well")
    return _rows(names, os.fspath(out) if out is not None else None, options)


def _rows(names: tuple[str, ...], out: str | None, options: ScanOptions) -> Iterator[Outcome]:
    if out is not None:
        scan_library(names, out, options)
        return (yield from read_table(part_path(out, options.shard)))
    with open_catalog(options.catalog) as catalog:
        running = Scan(names, catalog, options, Progress())
        running.read()
        yield from running.outcomes()


def _with_parameters_of(
    other: Callable[_P, Any],
) -> Callable[[Callable[..., _R]], Callable[_P, _R]]:
    """Declare that a function takes what another takes, to people, tools and type checkers."""

    def declare(function: Callable[..., _R]) -> Callable[_P, _R]:
        own = inspect.signature(function).return_annotation
        signature = inspect.signature(other).replace(return_annotation=own)
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return declare


@_with_parameters_of(scan_rows)
def scan(*args: Any, **options: Any) -> pd.DataFrame:
    """Scan folders, files and buckets: a table with one row for each photo, ordered by path.

    Args:
        sources: A folder, file or bucket address, or several.
        out: Table to write too, .csv, .jsonl, .parquet or .geojson; the next scan goes on from it.
        catalog: Where to remember what was read, instead of beside `out`.
        include: Globs on paths and names: only photos that match one.
        exclude: Globs on paths and names: no photo that matches one.
        follow_symlinks: Follow symbolic links.
        since: Only photos that changed since a day or time, such as "2026-11-01".
        classify_all: Classify photos that have a position, too.
        min_precision: Tag so that at least this share of the tags is right, 0 to 1.
        threshold: Least confidence of a tag, 0 to 1, in place of `min_precision`.
        prevalence: Share of photos with a known landmark; None goes by the library's scores.
        top_k: How many of the most likely landmarks to list for each photo, 1 to 10.
        cascade: Leave photos unread whose thumbnail surely shows no landmark.
        places: Place photos without a position by photos and tracks of the same time.
        tracks: Recorded tracks, files or folders, to place photos by.
        clock_offsets: By how many seconds cameras' clocks were ahead of local time, by camera.
        private: Circles (latitude, longitude, metres): where photos in them are is not said.
        match: Place photos by measured ones of the same scene, too; needs `places` and `out`.
        language: The language of countries' names, such as "de" or "pt-BR".
        shard: Scan a share of the library, such as "3/64"; `out` is then a .parquet file.
        limit: Read at most this many photos.
        max_time: Stop reading after so many seconds.
        rescan: Read all photos again.
        prune: Forget photos that are no longer there.
        allow_empty: Go on where a source has no photos any more, or most rows would be lost.
        replace: Write over the table of another library.
        workers: Decoding threads, 1 to 256; by default one for each core.
        engine: "auto", "openvino", "onnx" or "pytorch".
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        dtype: Number type of the network: "auto", "float32", "bfloat16" or "float16".
        batch_size: Photos in a batch, 1 to 1024; by default what suits the engine.
        model: Model file, instead of the built-in one.
        runner: "local", or "ray" for a cluster.
        address: Address of the Ray cluster; by default one on this machine.
        embeddings: Write the embeddings of classified photos, too, .parquet or .npy; needs `out`.

    Returns:
        A pandas DataFrame with the columns of the table. Positions are WGS-84 degrees, altitudes
        and radii metres; what is not known is missing (`isna`).
        `top_k` holds tuples of records with category_id, slug, landmark and confidence.

    Raises:
        UsageError: An option is out of its limits.
        GeotagError: The scan cannot be done at all. A photo that cannot be read is no error but
            a row with the status "unreadable" and the reason.
    """
    import pandas as pd

    rows = [_cells(row) for row in scan_rows(*args, **options)]
    frame = pd.DataFrame(rows, columns=Outcome._fields)
    kinds = {name: "float64" if name in FLOATS else "string" for name in frame.columns}
    return frame.astype(kinds | {"category_id": "Int64", "top_k": "object"})


def _cells(row: Outcome) -> tuple[object, ...]:
    known = (value if value != "" else None for value in row)
    return tuple(value.value if isinstance(value, Status) else value for value in known)


def _names(paths: Sources) -> tuple[str, ...]:
    if isinstance(paths, (str, os.PathLike)):
        return (os.fspath(paths),)
    return tuple(os.fspath(path) for path in paths)


def _globs(globs: Iterable[str]) -> tuple[str, ...]:
    return (globs,) if isinstance(globs, str) else tuple(globs)


def _zones(zones: Iterable[tuple[float, float, float]]) -> tuple[Zone, ...]:
    """Private zones as the command line has them. Raises UsageError."""
    return tuple(checked_zone(zone) for zone in zones)


class RankedLandmark(NamedTuple):
    """A landmark that a picture may show, with the calibrated probability that it does.

    Its position is WGS-84 decimal degrees; `radius_m` is how far from it, in metres, it is
    photographed. What is not known of a landmark that was added to a model is None or "".
    """

    name: str
    confidence: float
    latitude: float | None
    longitude: float | None
    radius_m: float | None
    city: str
    country: str


def rank_landmarks(
    picture: Picture, k: int = 5, model: PathText | None = None
) -> list[RankedLandmark]:
    """The k most likely landmarks of a picture with confidences and positions, best first.

    `picture` is a path, a Pillow image, or RGB pixels as a numpy array, uint8 (H, W, 3). Also a
    picture that shows none has most likely ones: their confidence is low then, and `scan` would not
    tag it. One with nothing to recognise (blank, tiny, a page of text) has none. The model stays in
    memory for the next call.

    Raises UsageError for k outside of 1 to 1000 and for an array of another shape or type,
    PhotoError for a file that cannot be read, and GeotagError for a model that cannot be used.
    """
    check(k=k)
    predictor = _predictor(model)
    return [
        RankedLandmark(c.name, confidence, c.latitude, c.longitude, c.radius_m, c.city, c.country)
        for c, confidence in predictor.ranked(predictor.predict(_image(picture), k))
    ]


def predict_landmarks(picture: Picture, k: int = 5, model: PathText | None = None) -> list[str]:
    """The names of the k most likely landmarks, best first; otherwise as `rank_landmarks`."""
    return [landmark.name for landmark in rank_landmarks(picture, k, model)]


def suggest_locations(
    picture: Picture, k: int = 5, model: PathText | None = None, show: bool = True
) -> list[str]:
    """Draw the picture with its k most likely landmarks beside it (extra `plot`).

    Returns their names. With `show` false the figure is left to the caller: `pyplot.gcf()`.
    Raises what `rank_landmarks` raises, and MissingDependencyError without matplotlib.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingDependencyError("drawing", "plot") from None

    from geotag.recognition.drawing import draw_suggestions

    check(k=k)
    predictor, image = _predictor(model), _image(picture)
    entries = predictor.top(predictor.predict(image, k))
    draw_suggestions(plt.figure(figsize=(10, 4)), predictor.view(image), entries)
    if show:
        plt.show()
    return [entry.landmark for entry in entries]


def _predictor(model: PathText | None) -> Predictor:
    """The predictor of a model, loaded anew when its file has changed."""
    if model is None:
        return _loaded(None, ())
    try:
        status = os.stat(model)
    except OSError:
        return _loaded(Path(model), ())
    return _loaded(Path(model), (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=1)
def _loaded(model: Path | None, state: tuple[int, ...]) -> Predictor:
    from geotag.recognition.predictor import Predictor

    return Predictor(model)


def _image(picture: Picture) -> str | os.PathLike[str] | Image.Image:
    """The picture as the predictor takes it: pixels become an image."""
    import numpy as np
    from PIL import Image

    if not isinstance(picture, np.ndarray):
        return picture
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UsageError(
            f"an array of {picture.dtype} {picture.shape} is not a picture: give RGB pixels, "
            "uint8 (H, W, 3)"
        )
    return Image.fromarray(picture)


def write(
    table: PathText,
    *,
    gps: bool = False,
    sidecar: bool = False,
    min_confidence: float = 0.0,
    include: Iterable[str] = (),
    force: bool = False,
    dry_run: bool = False,
    private: Iterable[tuple[float, float, float]] = (),
    clear: Iterable[str] = (),
    times: bool = False,
    catalog: PathText | None = None,
) -> list[WriteResult]:
    """Write the tags of a table into the photos' own metadata, as the command `geotag write`.

    Args:
        table: A table that a scan wrote, perhaps edited since.
        gps: Also give photos their inferred position (the landmark's, or that they were placed
            at) as their own, marked as inferred.
        sidecar: Write XMP sidecars, never the photos themselves.
        min_confidence: Write only tags of at least this confidence, 0 to 1.
        include: Globs on paths and names: only photos that match one.
        force: Also write photos that are links.
        dry_run: Write nothing; each result's `changes` say what would be.
        private: Circles of latitude, longitude and radius in metres: nothing is written of where
            photos in them are, and what geotag wrote of it before is taken out.
        clear: Methods as the table names them, such as "neighbour": nothing is written, and what
            these inferred is taken out of all photos.
        times: Write nothing but the offsets from UTC of photos' times (OffsetTimeOriginal), where
            their clocks' were found.
        catalog: The catalog that keeps the journal; by default the one beside the table.

    Returns:
        One result for each photo: its path, what was done, and why not where it was not. A photo
        that failed is as it was.

    Raises:
        UsageError: An option is out of its limits.
        TableError, CatalogError, LockedError: Table or catalog cannot be used.
    """
    methods = _globs(clear)
    check(min_confidence=min_confidence)
    for method in methods:
        check(clear=method)
    options = WriteOptions(
        gps, sidecar, min_confidence, _globs(include), force, dry_run,
        private=_zones(private), clear=methods, times=times,
    )  # fmt: skip
    place = Path(catalog) if catalog is not None else None
    return list(write_table_tags(Path(table), place, options))


def revert(run_id: str | None = None, *, catalog: PathText | None = None) -> list[WriteResult]:
    """Bring back the bytes and times of all files that a run of `write` changed.

    `run_id` is as `geotag runs` lists it; None is the last run. Without a catalog the run is
    looked for in all that this user wrote from. A file that was changed since is left as it is,
    and its result says so. Raises UsageError when there is no such run, or when the last one is of
    another folder or came before a write that changed nothing; CatalogError and LockedError.
    """
    chosen = choose_surely(run_id, Path(catalog) if catalog is not None else None)
    return list(revert_writes(chosen))
