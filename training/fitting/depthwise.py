"""Depthwise convolutions that train fast on a CPU: bfloat16 forward and backward in C++.

Torch's backward pass of a depthwise convolution takes most of a training step on processors with
AVX-512 and bfloat16; this one takes a tenth of that. Compiled on first use; where there is no
compiler or no such processor, torch's own stays in place and only time is lost.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from geotag.model.networks import SameConv2d

_log = logging.getLogger(__name__)
_FLAGS = ["-O3", "-march=native", "-ffast-math", "-std=c++20"]
_CHANNELS = 16  # that one vector register holds


@cache
def _kernels() -> Any:
    """The compiled functions, None where they cannot be had."""
    if not torch.cpu._is_avx512_bf16_supported():
        return None
    try:
        from torch.utils.cpp_extension import load

        source = Path(__file__).with_suffix(".cpp")
        load("geotag_depthwise", [str(source)], extra_cflags=_FLAGS, is_python_module=False)
        return torch.ops.geotag_depthwise
    except (OSError, RuntimeError, ImportError) as error:
        _log.warning("depthwise convolutions stay slow: %s", str(error).splitlines()[0])
        return None


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, geometry: Any) -> Any:
        kernel, stride, top, left, height, width, ceiling = geometry
        pixels = x.to(torch.bfloat16).permute(0, 2, 3, 1).contiguous()
        taps = weight.detach().float().view(len(weight), -1).t().contiguous()
        y = _kernels().forward(
            pixels, taps, bias.detach().float(), kernel, stride, top, left, height, width, ceiling
        )
        ctx.save_for_backward(pixels, y, taps)
        ctx.geometry = (kernel, stride, top, left, ceiling)
        return y.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        pixels, y, taps = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        gradient = gradients[0].to(torch.bfloat16).permute(0, 2, 3, 1).contiguous()
        dx, dw, db = _kernels().backward(
            gradient, pixels, y, taps, *ctx.geometry, needs_x, needs_weight
        )
        side = ctx.geometry[0]
        return (
            dx.permute(0, 3, 1, 2) if needs_x else None,
            dw.t().reshape(-1, 1, side, side) if needs_weight else None,
            db if needs_bias else None,
            None,
        )


class FastDepthwise(nn.Module):
    """A depthwise convolution and the rectifier after it; shares the convolution's parameters."""

    def __init__(self, convolution: nn.Conv2d, ceiling: float) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.weight, self.bias = convolution.weight, convolution.bias
        self.kernel, self.stride = convolution.kernel_size[0], convolution.stride[0]
        self.same = isinstance(convolution, SameConv2d)
        self.ceiling = ceiling

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H / stride, W / stride), bfloat16 under autocast."""
        height, width = (-(-side // self.stride) for side in x.shape[-2:])
        top, left = (
            self._padding(before, after)
            for before, after in zip(x.shape[-2:], (height, width), strict=True)
        )
        geometry = (self.kernel, self.stride, top, left, height, width, self.ceiling)
        result: Tensor = _Depthwise.apply(x, self.weight, self.bias, geometry)
        return result if torch.is_autocast_enabled("cpu") else result.to(x.dtype)

    def _padding(self, before: int, after: int) -> int:
        if not self.same:
            return (self.kernel - 1) // 2
        return max((after - 1) * self.stride + self.kernel - before, 0) // 2


def accelerate(network: nn.Module) -> int:
    """Replace what can be, in place, names of parameters unchanged; returns how many."""
    if _kernels() is None:
        return 0
    replaced = 0
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential) and len(module) == 2:
            convolution, rectifier = module[0], module[1]
            if _fits(convolution) and isinstance(rectifier, (nn.ReLU, nn.ReLU6)):
                ceiling = 6.0 if isinstance(rectifier, nn.ReLU6) else 1e30
                module[0], module[1] = FastDepthwise(convolution, ceiling), nn.Identity()
                replaced += 1
    return replaced


def _fits(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels == module.out_channels
        and module.in_channels % _CHANNELS == 0
        and module.kernel_size[0] in (3, 5)
        and module.bias is not None
    )
