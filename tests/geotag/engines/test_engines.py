"""One contract for all engines: the same scores as PyTorch in float32, whatever the batch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from geotag.decoding.transforms import preprocess
from geotag.engines import ENGINES, build_engine, choose_engine
from geotag.engines.base import Engine, EngineOptions
from geotag.errors import CheckpointError, EngineError
from geotag.model.checkpoint import Checkpoint, load_checkpoint
from tests.conftest import COLOURS, picture

_NEEDS = {"openvino": ("openvino",), "onnx": ("onnxruntime", "onnxscript")}
# Of the greatest logit: what 8 bits of mantissa leave after a few layers.
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}
# To convert for ONNX Runtime takes seconds.
_MARKS = {"onnx": pytest.mark.slow}
_BUILT = [pytest.param(name, marks=_MARKS.get(name, ())) for name in sorted(ENGINES)]
_KINDS = [
    pytest.param(engine, dtype, id=f"{engine} {dtype}", marks=_MARKS.get(engine, ()))
    for engine in sorted(ENGINES)
    for dtype in ("float32", "bfloat16")
    if (engine, dtype) != ("onnx", "bfloat16")
]


@pytest.fixture(scope="module")
def checkpoint(model_path: Path) -> Checkpoint:
    return load_checkpoint(model_path)


@pytest.fixture(scope="module")
def pixels(checkpoint: Checkpoint) -> np.ndarray:
    colours = list(COLOURS) * 3
    size = checkpoint.spec.input_size
    return np.stack([preprocess(picture(c, seed=n), size) for n, c in enumerate(colours)])


@pytest.fixture(scope="module")
def expected(checkpoint: Checkpoint, pixels: np.ndarray) -> np.ndarray:
    """Logits by PyTorch's own layers, without any engine."""
    import torch

    from geotag.engines.pytorch import load_network

    with torch.inference_mode():
        return load_network(checkpoint)(torch.from_numpy(pixels)).numpy()


def _build(
    checkpoint: Checkpoint, name: str, dtype: str = "float32", streams: int = 1, size: int = 4
) -> Engine:
    for module in _NEEDS.get(name, ()):
        pytest.importorskip(module)
    return build_engine(checkpoint, EngineOptions(name, "cpu", dtype, size), streams)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), _KINDS)
def test_logits_are_pytorchs(
    checkpoint: Checkpoint, pixels: np.ndarray, expected: np.ndarray, name: str, dtype: str
) -> None:
    engine = _build(checkpoint, name, dtype)
    logits = np.concatenate([engine.predict(pixels[at : at + 4]) for at in range(0, 12, 4)])
    assert logits.dtype == np.float32
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= _TOLERANCE[dtype] * np.abs(expected).max()
    assert (logits.argmax(1) == expected.argmax(1)).all()
    assert len({int(label) for label in logits.argmax(1)}) == len(COLOURS)


@pytest.mark.parametrize(("name", "dtype"), _KINDS)
def test_a_photo_does_not_depend_on_its_neighbours(
    checkpoint: Checkpoint, pixels: np.ndarray, name: str, dtype: str
) -> None:
    engine = _build(checkpoint, name, dtype)
    together = engine.predict(pixels[:4])
    alone = np.concatenate([engine.predict(pixels[at : at + 1]) for at in range(4)])
    three = engine.predict(pixels[1:4])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(three, together[1:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", _BUILT)
def test_streams_run_side_by_side(checkpoint: Checkpoint, pixels: np.ndarray, name: str) -> None:
    engine = _build(checkpoint, name, streams=2)
    one_by_one = [engine.predict(pixels[at : at + 4]) for at in range(0, 12, 4)] * 8
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(lambda at: engine.predict(pixels[at : at + 4]), [0, 4, 8] * 8))
    np.testing.assert_allclose(side_by_side, one_by_one, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", _BUILT)
def test_predict_leaves_its_input_alone(
    checkpoint: Checkpoint, pixels: np.ndarray, name: str
) -> None:
    batch = pixels[:2].copy()
    batch.flags.writeable = False
    first = _build(checkpoint, name).predict(batch).copy()
    np.testing.assert_array_equal(batch, pixels[:2])
    engine = _build(checkpoint, name)
    kept = engine.predict(batch)
    engine.predict(pixels[4:8])
    np.testing.assert_allclose(kept, first, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_device_that_is_not_there(checkpoint: Checkpoint, name: str) -> None:
    for module in _NEEDS.get(name, ()):
        pytest.importorskip(module)
    with pytest.raises(EngineError, match="cuda:99"):
        build_engine(checkpoint, EngineOptions(name, "cuda:99"))


def test_batches_on_a_gpu_fit_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from geotag.engines.pytorch import choose_batch_size

    free = 0
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * 2**30))
    sizes = []
    for gigabytes in (0, 1, 4, 16, 64):
        free = gigabytes * 2**30
        sizes.append(choose_batch_size(torch.device("cuda"), torch.float16, 256))
    assert sizes == [8, 8, 16, 64, 256]
    assert choose_batch_size(torch.device("cpu"), torch.float32, 256) == 8


def _short_of_memory(engine: Engine, room: int) -> list[int]:
    """Makes a PyTorch engine's device hold no more than so many photos; what was tried."""
    import torch

    from geotag.engines.pytorch import PyTorchEngine

    assert isinstance(engine, PyTorchEngine)
    network, tried = engine.network, []

    class Cramped(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            tried.append(len(batch))
            if len(batch) > room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return network(batch)

    engine.network = Cramped()  # type: ignore[assignment]
    return tried


def test_a_gpu_short_of_memory_takes_fewer_photos_at_once(
    checkpoint: Checkpoint, pixels: np.ndarray, expected: np.ndarray
) -> None:
    engine = _build(checkpoint, "pytorch", size=8)
    tried = _short_of_memory(engine, 3)
    for at in (0, 7):
        logits = engine.predict(pixels[at : at + 5])
        np.testing.assert_allclose(logits, expected[at : at + 5], rtol=1e-4, atol=1e-3)
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2]
    assert engine.batch_size == 8  # what callers count by


def test_a_gpu_without_any_memory_is_named(checkpoint: Checkpoint, pixels: np.ndarray) -> None:
    engine = _build(checkpoint, "pytorch")
    tried = _short_of_memory(engine, 0)
    with pytest.raises(EngineError, match="--device cpu"):
        engine.predict(pixels[:4])
    assert tried == [4, 2, 1]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_gpu_gives_the_same_from_several_threads(
    checkpoint: Checkpoint, pixels: np.ndarray, expected: np.ndarray, dtype: str
) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    engine = build_engine(checkpoint, EngineOptions("pytorch", "cuda", dtype, 4))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda at: engine.predict(pixels[at : at + 4]), [0, 4, 8] * 8))
    logits = np.stack([np.concatenate(parts[at : at + 3]) for at in range(0, 24, 3)])
    assert np.abs(logits - expected).max() <= 0.02 * np.abs(expected).max()


def test_an_unknown_engine(checkpoint: Checkpoint) -> None:
    with pytest.raises(EngineError, match="known: auto, onnx, openvino, pytorch"):
        build_engine(checkpoint, EngineOptions("abacus"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ENGINES))
def test_weights_that_do_not_fit(checkpoint: Checkpoint, name: str) -> None:
    for module in _NEEDS.get(name, ()):
        pytest.importorskip(module)
    header = checkpoint.header._replace(sha256="0" * 64)
    last = sorted(checkpoint.tensors)[-1]
    whole = checkpoint.tensors[last]
    for changed, problem in (
        ({"stray": np.zeros(3, np.float32)}, "stray is not part of it"),
        ({last: whole[..., :-1]}, "has the shape"),
        ({last: whole.astype(np.int32)}, "has the type"),
        ({last: np.full_like(whole, np.nan)}, "holds values that are no numbers"),
        ({last: np.full_like(whole, np.inf)}, "holds values that are no numbers"),
    ):
        wrong = Checkpoint(header, {**checkpoint.tensors, **changed}, "m.safetensors")
        with pytest.raises(CheckpointError, match=rf"m\.safetensors: [^\n]*{problem}[^\n]*$"):
            build_engine(wrong, EngineOptions(name, "cpu"))
    lacking = {n: t for n, t in checkpoint.tensors.items() if n != last}
    with pytest.raises(CheckpointError, match="is missing"):
        build_engine(Checkpoint(header, lacking), EngineOptions(name, "cpu"))


@pytest.mark.slow
def test_a_spec_alone_takes_no_memory(checkpoint: Checkpoint) -> None:
    """A classifier of 400 MB that no tensor of the file bears out."""
    many = tuple(f"c{n}" for n in range(100_000))
    header = checkpoint.header._replace(
        sha256="1" * 64, spec=checkpoint.spec._replace(architecture="vgg16", categories=many)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="do not fit vgg16 with 100001 outputs"):
        build_engine(Checkpoint(header, {}), EngineOptions("pytorch", "cpu"))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 200e6


def test_auto_takes_the_processors_engine_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("geotag.engines.has_gpu", lambda: False)
    assert choose_engine(EngineOptions()) == "openvino"
    assert choose_engine(EngineOptions(device="cuda")) == "pytorch"
    monkeypatch.setattr("geotag.engines.has_gpu", lambda: True)
    assert choose_engine(EngineOptions()) == "pytorch"
    assert choose_engine(EngineOptions(device="cpu")) == "openvino"


def test_auto_without_optional_packages_is_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geotag.engines.find_spec", lambda name: None)
    assert choose_engine(EngineOptions(device="cpu")) == "pytorch"


def test_a_converted_model_runs_without_torch(model_path: Path) -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys, numpy as np, pathlib\n"
        "from geotag.model.checkpoint import load_checkpoint\n"
        "from geotag.engines import build_engine\n"
        "from geotag.engines.base import EngineOptions\n"
        "checkpoint = load_checkpoint(pathlib.Path(sys.argv[1]))\n"
        "engine = build_engine(checkpoint, EngineOptions('openvino', 'cpu'))\n"
        "size = checkpoint.spec.input_size\n"
        "engine.predict(np.zeros((1, size, size, 3), np.uint8))\n"
        "print('torch' in sys.modules)"
    )
    _build(load_checkpoint(model_path), "openvino")
    command = [sys.executable, "-W", "error", "-c", code, str(model_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.slow
def test_openvino_starts_from_what_was_compiled(
    checkpoint: Checkpoint, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    expected = _build(checkpoint, "openvino").predict(pixels[:4])
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2  # converted, and compiled from that

    monkeypatch.setattr("geotag.engines.openvino.convert_apart", None)
    assert (_build(checkpoint, "openvino").predict(pixels[:4]) == expected).all()
    # Another batch size or number of streams is compiled anew, but not converted.
    assert np.allclose(_build(checkpoint, "openvino", size=2).predict(pixels[:2]), expected[:2])
    assert _build(checkpoint, "openvino", streams=2).streams == 2
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4


def test_first_pictures_from_several_threads_do_not_wait_for_ever(model_path: Path) -> None:
    """What hung was OpenVINO's table of types, which each picture needs; all ask at once."""
    pytest.importorskip("openvino")
    code = (
        "import sys, threading, pathlib\n"
        "from geotag.model.checkpoint import load_checkpoint\n"
        "from geotag.engines import build_engine\n"
        "from geotag.engines.base import EngineOptions\n"
        "checkpoint = load_checkpoint(pathlib.Path(sys.argv[1]))\n"
        "engine = build_engine(checkpoint, EngineOptions('openvino'), 4)\n"
        "import openvino\n"
        "together = threading.Barrier(4)\n"
        "def ask():\n"
        "    together.wait()\n"
        "    openvino.Type.f32.to_dtype()\n"
        "sys.setswitchinterval(1e-6)\n"
        "threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    _build(load_checkpoint(model_path), "openvino", streams=4)  # conversion makes the table, too
    subprocess.run([sys.executable, "-c", code, str(model_path)], check=True, timeout=60)


@pytest.mark.slow
def test_converting_a_model_tells_nobody(model_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    code = (
        "import sys, pathlib\n"
        "from geotag.model.checkpoint import load_checkpoint\n"
        "from geotag.engines import build_engine\n"
        "from geotag.engines.base import EngineOptions\n"
        "checkpoint = load_checkpoint(pathlib.Path(sys.argv[1]))\n"
        "build_engine(checkpoint, EngineOptions('openvino', 'cpu'))"
    )
    places = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code, str(model_path)]
    subprocess.run(command, check=True, env={**os.environ, **places})
    assert (tmp_path / "cache").exists()
    # Where OpenVINO's telemetry keeps who one is before it reports.
    assert not (tmp_path / "intel").exists()


@pytest.mark.slow
def test_a_signal_after_an_engine_ended_in_another_thread_ends_no_process(model_path: Path) -> None:
    pytest.importorskip("openvino")
    script = (
        "import pathlib, signal, sys, threading\n"
        "from geotag.engines import build_engine\n"
        "from geotag.engines.base import EngineOptions\n"
        "from geotag.model.checkpoint import load_checkpoint\n"
        "checkpoint = load_checkpoint(pathlib.Path(sys.argv[1]))\n"
        "engines = [build_engine(checkpoint, EngineOptions('openvino', 'cpu'))]\n"
        "ending = threading.Thread(target=engines.clear)\n"
        "ending.start(); ending.join()\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: print('heeded'))\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(model_path)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "heeded\n"), done.stderr


def test_a_thread_that_has_no_memory_to_begin_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, model_path: Path
) -> None:
    monkeypatch.setattr("_thread.start_new_thread", lambda *ignored: 1)
    monkeypatch.setattr("geotag.engines.LONGEST_START", 0.01)
    with pytest.raises(EngineError, match="this user may start 0 more"):
        build_engine(load_checkpoint(model_path), EngineOptions())
