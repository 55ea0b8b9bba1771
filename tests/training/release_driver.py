"""Makes a release of a small network in a process that dies (SIGKILL) after each new file that it
puts in place, again and again until one lives to the end; run by test_release.

Prints after which files it died.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from geotag import engines
from geotag.model import networks
from geotag.model.architectures import ARCHITECTURES
from training import release
from training.fitting.recipes import RECIPES, find_recipe
from training.reports import commands

WIDTH = 64


class Colours(nn.Module):
    """Embeds a picture by its mean colour."""

    mean = std = (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, WIDTH)."""
        return torch.relu(self.layer(x.mean((2, 3))))


def prepare() -> None:
    """The recipe `tiny` made tinier: a classifier on the embeddings of an untrained network.

    By PyTorch, for to convert it takes longer than all else.
    """
    sys.modules["openvino"] = None  # type: ignore[assignment]
    engines.choose_engine = lambda options: "pytorch"
    networks.EMBEDDING = WIDTH
    ARCHITECTURES["small"] = lambda n: networks.Recogniser([Colours()], n)  # type: ignore[list-item]
    settings = {"frozen": True, "epochs": 6, "learning_rate": 0.1, "batch_size": 64}
    RECIPES["tiny"] = find_recipe("tiny", architecture="small", mixup=0.0, ema=0.0, **settings)


def run_once(arguments: list[str], survived: set[str]) -> str:
    """The first new file after which a process of its own was killed; "" when none was."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        put = os.replace

        def put_and_die(source: str, target: Path) -> None:
            put(source, target)
            if os.path.basename(target) in survived:
                return
            os.write(writable, os.path.basename(target).encode())
            os.kill(os.getpid(), signal.SIGKILL)

        os.replace = put_and_die  # type: ignore[assignment]
        sys.argv = ["training.release", *arguments]
        commands.run(release.main)
        sys.stdout.flush()
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        name = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    if not name and status:
        raise SystemExit(f"ended with {status}")
    return name


if __name__ == "__main__":
    prepare()
    first, *others = sys.argv[1:]
    died: set[str] = set()
    while name := run_once(others, died) if first == "killed" else "":
        died.add(name)
        print("died after", name)
    if first != "killed":
        sys.argv = ["training.release", *others]
        commands.run(release.main)
