"""The features of a frozen trunk, whatever computes them."""

from __future__ import annotations

import sys

import pytest
import torch

from geotag.model.architectures import Normalised, build_model
from training.fitting.recipes import HALF
from training.pretrained.trunk import compiled, trunk


@pytest.mark.slow
def test_openvino_gives_the_features_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino")  # which the other tests of training go without
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    module = Normalised(trunk(build_model("lenet", 4)), HALF, HALF).eval()
    pictures = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = module(pictures)
    found = compiled(module, 32)(pictures)
    assert found.shape == expected.shape and expected.std() > 0
    assert torch.allclose(found, expected, rtol=1e-2, atol=1e-2)
