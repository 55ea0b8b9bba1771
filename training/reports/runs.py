"""A run's folder: its record, its log, its curves, and the state that it takes up again from."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from geotag.errors import DataError
from geotag.files.atomic import atomic_file
from training.data.dataset import Dataset
from training.fitting.recipes import Recipe
from training.reports import plots
from training.reports.commands import write_csv


class Epoch(NamedTuple):
    """What one epoch gave: mean losses, validation top-1, the last learning rate."""

    epoch: int
    train_loss: float
    val_loss: float
    val_top1: float
    learning_rate: float


class Run:
    """The folder of one run. Everything in it is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    @property
    def model(self) -> Path:
        """Where the finished model file goes."""
        return self.folder / "model.safetensors"

    def begin(self, recipe: Recipe, dataset: Dataset, classes: tuple[str, ...]) -> None:
        """Record what is about to be trained. Raises DataError when the folder is another run's."""
        record = describe(recipe, dataset, classes)
        path = self.folder / "run.json"
        if path.is_file():
            earlier = json.loads(path.read_text("utf-8"))
            differing = [
                name
                for name in ("recipe", "data", "classes")
                if earlier.get(name) != json.loads(json.dumps(record[name]))
            ]
            if differing:
                raise DataError(
                    f"{self.folder}: holds a run of another {', '.join(differing)}; "
                    "choose another --out"
                )
            if self.model.is_file():
                return  # the versions that trained it stand
        with atomic_file(path) as file:
            file.write(json.dumps(record, indent=1).encode() + b"\n")

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Keep all that the next epoch needs."""
        with atomic_file(self.folder / "state.pt") as file:
            torch.save(dict(state), file)

    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` kept last, None at the beginning."""
        path = self.folder / "state.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def write_log(self, epochs: list[Epoch]) -> None:
        """log.csv and the learning curves, anew from all epochs."""
        rows = ((e.epoch, *(f"{value:.6g}" for value in e[1:])) for e in epochs)
        write_csv(self.folder / "log.csv", Epoch._fields, rows)
        numbers = [e.epoch for e in epochs]
        losses = {
            "training": (numbers, [e.train_loss for e in epochs]),
            "validation": (numbers, [e.val_loss for e in epochs]),
        }
        top1 = {"validation": (numbers, [100 * e.val_top1 for e in epochs])}
        for curves, title, unit, name in (
            (losses, "Loss: cross-entropy, mean over photos", "nats", "loss"),
            (top1, "Validation photos named rightly", "top-1 (%)", "top1"),
        ):
            plots.plot_curves(curves, title, ("epoch", unit), self.folder / f"{name}.png")


def describe(recipe: Recipe, dataset: Dataset, classes: tuple[str, ...]) -> dict[str, Any]:
    """All that decides a run's outcome."""
    return {
        "recipe": asdict(recipe),
        "data": {"fingerprint": dataset.fingerprint, "photos": len(dataset.samples)},
        "classes": list(classes),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
