"""Model files: written, read, verified."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotag.errors import CheckpointError
from geotag.model.checkpoint import (
    built_in_path,
    load_checkpoint,
    read_header,
    round_weights,
    save_checkpoint,
)
from geotag.model.spec import ModelSpec, Threshold

SPEC = ModelSpec(
    "mobilenet_v2", 224, "squash", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), ("a", "b"), 1.5,
    (Threshold(0.95, 0.5), Threshold(0.99, 0.8)), {"seed": 1},
)  # fmt: skip
TENSORS = {"weight": np.arange(6, dtype=np.float16).reshape(2, 3)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, SPEC, TENSORS)
    return path


def test_there_and_back(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    assert checkpoint.spec == SPEC
    assert read_header(saved) == checkpoint.header
    np.testing.assert_array_equal(checkpoint.tensors["weight"], TENSORS["weight"])


def test_the_same_model_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again.safetensors", SPEC, TENSORS)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_every_flipped_bit_of_the_weights_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(saved)


def test_a_changed_spec_is_noticed(saved: Path) -> None:
    data = saved.read_bytes().replace(b"1.5", b"1.6")
    saved.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(saved)


def _raw(header: dict[str, object]) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04pickle",
        struct.pack("<Q", 2**60) + b"{}",
        _raw({}),
        _raw({"__metadata__": {"other": "{}"}}),
        _raw({"__metadata__": {"geotag": "{}"}}),
        _raw({"__metadata__": {"geotag": "not json"}}),
        _raw({"__metadata__": {"geotag": "[" * 100_000}}),
        _raw({"__metadata__": {"geotag": '{"spec": {}, "sha256": "0"}'}}),
        _raw({"__metadata__": {"geotag": '{"spec": Infinity, "sha256": "0"}'}}),
        _raw({"__metadata__": {"geotag": '{"spec": "\\ud800", "sha256": "0"}'}}),
        _raw({"__metadata__": {"geotag": f'{{"spec": {"[" * 5000 + "]" * 5000}, "sha256": "0"}}'}}),
        _raw({"__metadata__": []}),
        _raw({"x": {"dtype": "F8_E4M3", "shape": [2**63], "data_offsets": [0, 2**63]}}),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 9) + b'{"a": 1e',
    ],
)
def test_hostile_files_are_errors_of_ours(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(data)
    for read in (load_checkpoint, read_header):
        with pytest.raises(CheckpointError, match=r"hostile\.safetensors: [^\n]*$"):
            read(path)


def test_a_file_that_is_cut_anywhere_is_one_line(saved: Path) -> None:
    data = saved.read_bytes()
    for length in range(0, len(data), 7):
        saved.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"m\.safetensors: [^\n]*$"):
            load_checkpoint(saved)


@given(at=st.integers(0, 1000), value=st.integers(0, 255))
@settings(
    max_examples=3 * settings.default.max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_other_byte_is_noticed(saved: Path, at: int, value: int) -> None:
    data = bytearray(saved.read_bytes())
    at %= len(data)
    changed = saved.with_name("changed.safetensors")
    is_the_same = data[at] == value
    data[at] = value
    changed.write_bytes(data)
    try:
        checkpoint = load_checkpoint(changed)
    except CheckpointError:
        assert not is_the_same
    else:  # the same byte, or white space between tokens
        assert checkpoint.spec == SPEC
        np.testing.assert_array_equal(checkpoint.tensors["weight"], TENSORS["weight"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path, tmp_path / "pipe.safetensors"):
        for read in (load_checkpoint, read_header):
            with pytest.raises(CheckpointError, match="not a file"):
                read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such model file"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_the_built_in_model_fits_its_promise() -> None:
    path = built_in_path()
    assert path.stat().st_size <= 30e6
    spec = load_checkpoint(path).spec
    assert spec.threshold_for(0.99) > 0


def test_the_background_is_not_the_networks(tmp_path: Path) -> None:
    tensors = {**TENSORS, "background.embeddings": np.zeros((2, 3), np.int8)}
    save_checkpoint(tmp_path / "m.safetensors", SPEC, tensors)
    assert load_checkpoint(tmp_path / "m.safetensors").weights.keys() == {"weight"}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none/m\.safetensors: cannot be written"):
        save_checkpoint(tmp_path / "none/m.safetensors", SPEC, TENSORS)


def test_rounded_weights_are_those_of_bfloat16() -> None:
    array = np.random.default_rng(0).normal(0, 1, (50, 40)).astype(np.float32)
    array[0, :6] = (0.0, -0.0, 1.0, 1.00390625, 1.01171875, -3.0e-5)  # ties go to even
    rounded = round_weights(array)
    assert rounded.dtype == np.float16
    expected = torch.from_numpy(array).to(torch.bfloat16).float().numpy()
    assert (rounded.astype(np.float32) == expected).all()
    assert (round_weights(rounded) == rounded).all()
