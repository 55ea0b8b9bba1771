"""Exported models give the original's logits, at any batch size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from geotag.errors import EngineError
from geotag.model.checkpoint import load_checkpoint
from tests.training.conftest import Invoke
from training import export


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n == "onnx" else ()) for n in export.FORMATS],
)
def test_each_format_agrees(name: str, model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    if name == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    invoke(export.main, "--model", model_path, "--format", name, "--out", tmp_path)
    document = json.loads((tmp_path / "export.json").read_text())
    report = document["files"][name]
    assert report["difference"] <= 1e-3
    assert (tmp_path / report["file"]).stat().st_size == report["bytes"]
    spec = load_checkpoint(model_path).spec
    assert (document["input_size"], document["fit"]) == (spec.input_size, spec.fit)
    assert tuple(document["categories"]) == spec.categories
    assert document["thresholds"][0] == {"precision": 0.95, "confidence": 0.6}


def test_torchscript_runs_without_geotag(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    invoke(export.main, "--model", model_path, "--format", "torchscript", "--out", tmp_path)
    network = torch.jit.load(tmp_path / "model.pt")
    pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    expected = export.eager(load_checkpoint(model_path))(pixels)
    with torch.inference_mode():
        logits = network(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.slow
def test_onnx_runs_without_geotag(model_path: Path, tmp_path: Path, invoke: Invoke) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    invoke(export.main, "--model", model_path, "--format", "onnx", "--out", tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (logits,) = session.run(["logits"], {"pixels": pixels})
    expected = export.eager(load_checkpoint(model_path))(pixels)
    np.testing.assert_allclose(logits, expected, atol=1e-3)


def test_safetensors_come_back_as_they_were(
    model_path: Path, tmp_path: Path, invoke: Invoke
) -> None:
    invoke(export.main, "--model", model_path, "--format", "safetensors", "--out", tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == model_path.read_bytes()


def test_an_export_that_differs_is_removed(
    model_path: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(checkpoint: object, path: Path) -> export.Run:
        path.write_bytes(b"")
        return lambda pixels: np.zeros((len(pixels), 4), np.float32)

    monkeypatch.setitem(export.FORMATS, "torchscript", ("model.pt", wrong))
    with pytest.raises(EngineError, match="differs"):
        invoke(export.main, "--model", model_path, "--format", "torchscript", "--out", tmp_path)
    assert not (tmp_path / "model.pt").exists()
