"""The training loop: epochs, validation, early stopping; taken up again where it was killed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from geotag.errors import DataError
from training.data.detail import restricted_loss
from training.data.examples import Examples, World
from training.data.mixing import Batch
from training.fitting.memory import keep_freed_memory
from training.fitting.optimisation import AveragedWeights, build_optimiser, learning_rate_factor
from training.fitting.recipes import Recipe
from training.reports.runs import Epoch, Run

State = dict[str, Tensor]


def join_world() -> World:
    """This process's place among those that torchrun started; alone without it."""
    if "RANK" not in os.environ:
        return World()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())


def choose_device(world: World) -> torch.device:
    """A graphics processor for each process where there are any."""
    if torch.cuda.is_available():
        return torch.device("cuda", world.rank % torch.cuda.device_count())
    return torch.device("cpu")


@dataclass
class Progress:
    """What changes from epoch to epoch beside the weights."""

    history: list[Epoch] = field(default_factory=list)
    best: State = field(default_factory=dict)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far."""
        return min((epoch.val_loss for epoch in self.history), default=math.inf)

    def stale(self) -> int:
        """Epochs since the best one."""
        losses = [epoch.val_loss for epoch in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


class Trainer:
    """Fits a module to examples by a recipe, an epoch at a time."""

    def __init__(
        self, module: nn.Module, examples: Examples, recipe: Recipe, run: Run, world: World,
        new: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.recipe, self.examples, self.run, self.world = recipe, examples, run, world
        self.device = choose_device(world)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.module = module.to(self.device).to(memory_format=torch.channels_last)
        self.optimiser = build_optimiser(recipe, module, new)
        self.full_rates = [group["lr"] for group in self.optimiser.param_groups]
        self.average = AveragedWeights(module, recipe.ema) if recipe.ema else None
        self.progress = Progress()
        self.parallel: nn.Module = DistributedDataParallel(module) if world.size > 1 else module

    def fit(self) -> State:
        """Train to the end of the recipe; returns the weights of the epoch that it keeps.

        Raises DataError when the validation loss never was a number.
        """
        self._resume()
        while len(self.progress.history) < self.recipe.epochs and not self._stopped():
            self._epoch(len(self.progress.history) + 1)
        if not self.progress.best:
            raise DataError(
                f"{self.run.folder}: training diverged, the loss is not a number; "
                "take a lower learning rate and another --out"
            )
        return self.progress.best if self.recipe.keep == "best" else self._averaged()

    def _stopped(self) -> bool:
        return 0 < self.recipe.patience <= self.progress.stale()

    def _epoch(self, number: int) -> None:
        torch.manual_seed(self.recipe.seed * 1_000_003 + number * 1009 + self.world.rank)
        train_loss = self._train(number)
        weights = self._averaged()
        val_loss, top1 = self._agreed(*self._validate(weights))
        rate = self.optimiser.param_groups[-1]["lr"]
        if val_loss < self.progress.best_loss:
            self.progress.best = weights
        self.progress.history.append(Epoch(number, train_loss, val_loss, top1, rate))
        if self.world.rank == 0:
            self._save()
            self.run.write_log(self.progress.history)

    def _train(self, number: int) -> float:
        self.module.train()
        steps = self.examples.steps()
        losses = []
        batches = tqdm(
            self.examples.train(number), f"epoch {number}", steps, disable=None, unit="batch"
        )
        for step, batch in enumerate(batches):
            factor = learning_rate_factor(
                self.recipe, (number - 1) * steps + step, self.recipe.epochs * steps
            )
            for group, rate in zip(self.optimiser.param_groups, self.full_rates, strict=True):
                group["lr"] = rate * factor
            losses.append(self._step(batch))
        return sum(losses) / len(losses)

    def _step(self, batch: Batch) -> float:
        with self._precision():
            logits = self.parallel(batch.inputs.to(self.device)).float()
        targets = batch.targets.to(self.device)
        if batch.rivals is None:
            # The negative log-likelihood of the softmax (NLLLoss), with targets that may be soft.
            loss = -(targets * functional.log_softmax(logits, 1)).sum(1).mean()
        else:
            loss = restricted_loss(logits, targets, batch.rivals.to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        if self.average:
            self.average.update(self.module)
        return float(loss.detach())

    def _precision(self) -> torch.autocast:
        enabled = self.recipe.mixed_precision
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _averaged(self) -> State:
        weights = {k: v.detach().cpu().clone() for k, v in self.module.state_dict().items()}
        if self.average:
            weights |= {k: v.cpu().clone() for k, v in self.average.values.items()}
        return weights

    def _validate(self, weights: State) -> tuple[float, float]:
        """Mean loss and top-1 of the averaged weights; the training weights stay in place."""
        kept = {k: v.detach().clone() for k, v in self.module.state_dict().items()}
        self.module.load_state_dict(weights)
        self.module.eval()
        loss = right = count = 0.0
        with torch.inference_mode(), self._precision():
            for inputs, targets, _ in self.examples.validate():
                logits = self.module(inputs.to(self.device)).float().cpu()
                loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
                right += int((logits.argmax(1) == targets.argmax(1)).sum())
                count += len(targets)
        self.module.load_state_dict(kept)
        return (loss / count, right / count) if count else (math.nan, math.nan)

    def _agreed(self, *figures: float) -> Iterable[float]:
        """The first process's figures, so that all stop after the same epoch."""
        if self.world.size == 1:
            return figures
        shared = torch.tensor(figures, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return shared.tolist()

    def _save(self) -> None:
        average = self.average
        self.run.save_state(
            {
                "module": self.module.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": [average.step, average.values] if average else [],
                "history": [list(epoch) for epoch in self.progress.history],
                "best": self.progress.best,
            }
        )

    def _resume(self) -> None:
        state = self.run.load_state()
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average:
            step, values = state["average"]
            self.average.load(step, {k: v.to(self.device) for k, v in values.items()})
        history = [Epoch(int(number), *values) for number, *values in state["history"]]
        self.progress = Progress(history, state["best"])


def on_first_rank(world: World, work: Callable[[], Any]) -> None:
    """Do once what all processes need, the others waiting."""
    if world.rank == 0:
        work()
    if world.size > 1:
        distributed.barrier()
