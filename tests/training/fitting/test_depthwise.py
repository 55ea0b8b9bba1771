"""Fast depthwise convolutions give what torch's own give."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from geotag.model.networks import SameConv2d
from training.fitting.depthwise import accelerate


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same", [True, False])
def test_fast_depthwise_convolutions_agree(kernel: int, stride: int, same: bool) -> None:
    """One layer: through a whole network without batch norms bfloat16 alone tells nothing."""
    torch.manual_seed(0)
    layer, rectifier = (SameConv2d, nn.ReLU6()) if same else (nn.Conv2d, nn.ReLU())
    padding = 0 if same else kernel // 2
    plain = nn.Sequential(layer(64, 64, kernel, stride, padding, groups=64), rectifier)
    fast = copy.deepcopy(plain)
    if not accelerate(nn.Sequential(fast)):
        pytest.skip("no compiler, or no processor with bfloat16")
    assert fast.state_dict().keys() == plain.state_dict().keys()
    pictures = torch.randn(2, 64, 19, 16).contiguous(memory_format=torch.channels_last)
    found = []
    for network, half in ((plain, False), (fast, True)):
        inputs = pictures.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = network(inputs).float()
        outputs.square().sum().backward()
        found.append([outputs, inputs.grad, *(p.grad for p in network.parameters())])
    for expected, actual in zip(*found, strict=True):
        assert expected is not None
        assert actual is not None
        assert (actual - expected).norm() < 0.02 * expected.norm()
