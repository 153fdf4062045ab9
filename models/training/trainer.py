"""The training loop: one network, one dataset, one recipe, one seed.

Samples are tensors in memory, indexed in place; images are kept channels last. Nothing in a step
waits for the device: sums stay on it and are read once an epoch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.accelerator import numbered
from models.datasets import Dataset, Samples
from models.datasets.input_transform import with_inputs
from models.family import OfMembers
from models.quiet import give_way
from models.recipe import Recipe
from models.streams import TrainingPurpose, seed_for, seeded
from models.tensor_file import dense
from models.training import augmentation, gradients, normalization, regularization
from models.training.criterion import Scoring, criterion, scoring
from models.training.diagnosis import NonFiniteError, diagnosis
from models.training.evaluation import channels_last, evaluate
from models.training.initialization import initialize
from models.training.optimizers import load_tensors, optimizer, step_scale, tensors_of
from models.training.pretraining import check, pretrain
from models.training.residence import inputs, moved, resident
from models.training.schedules import schedule
from models.training.values import ErrorUnit, encoded_targets

log = logging.getLogger(__name__)


__all__ = [
    "NonFiniteError",
    "Training",
    "TrainingState",
    "channels_last",
    "evaluate",
    "seeded",
    "train",
]


def train(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    data: Literal["train", "train+val"] = "train",
    keep_best: bool = False,
    error_unit: ErrorUnit = "own_unit",
) -> Generator[dict[str, float]]:
    """Train `network` in place, on `device`, and yield the metrics of each epoch.

    `epoch` (from 1), `train_loss` (mean over the epoch's steps, smoothed as the recipe says,
    without penalties), `val_*` of the task, `gradient_norm_first`, `gradient_norm_last` and
    `gradient_nonfinite_share` (of the epoch's last step, before clipping).

    The last yield describes the weights that the network then holds. With `keep_best` or the
    recipe's `early_stopping` these are the weights of the lowest validation loss: every yield has
    `best_epoch` then, and where the best epoch is not the last one, the last yield carries the
    best epoch's metrics under the last epoch's number.

    With the recipe's `pretraining` the first epoch takes its time as well, and every yield has
    `pretraining_loss`, that of its last epoch.

    A run whose gradients vanish is reported by name in the log; `diagnosis` says the same
    of the metrics.

    With `train+val` no sample is held out: there are no `val_*`, and no early stopping.

    The same seed gives the same numbers, bit for bit on a CPU with one thread. Torch's global
    generators are left as they were. Between the yields the network may be used but not changed;
    closing the generator ends the run.

    Raises:
        NonFiniteError: the training or the validation loss is NaN or infinite.
        ValueError: `keep_best` without validation, image augmentation of other samples, or a
            pretraining that the network or the task has not.
    """
    training = Training(
        network,
        dataset,
        recipe,
        seed=seed,
        device=device,
        data=data,
        keep_best=keep_best,
        error_unit=error_unit,
    )
    yield from training.epochs()


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """A run after one of its epochs, to go on from: with it the remaining epochs are those of a run
    that was never interrupted. Schedule, order of the samples and random numbers follow from the
    recipe, the seed and the epoch.

    tensors: on the CPU; of the network, the optimizer and the best epoch so far.
    values: JSON.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


class Training:
    """A run of `train` that can be left and gone on with."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        data: Literal["train", "train+val"] = "train",
        keep_best: bool = False,
        error_unit: ErrorUnit = "own_unit",
        best_for: str | None = None,
        start: TrainingState | None = None,
        micro_batches: int = 1,
    ) -> None:
        """With `start` the first epoch is the one after it, and the network's own weights count for
        nothing. `best_for`: as `models.training.criterion.scoring` has it; what is chosen on
        validation stands among the metrics of its epoch.

        `micro_batches`: the samples of a step go through the network in so many parts, whose
        gradients are added: less memory, the same step, but for batch normalisation, which sees a
        part at a time.
        """
        if keep_best and data != "train":
            raise ValueError("keep_best needs validation data, and train+val leaves none")
        device = numbered(device)
        dataset = with_inputs(dataset, recipe)
        check(network, dataset, recipe)
        self._network, self._recipe = network, recipe
        self._pretraining = partial(
            pretrain,
            network,
            dataset,
            recipe,
            seed=seed,
            device=device,
            whole=data == "train+val",
        )
        self._pretrained: dict[str, float] = {}
        scored = scoring(dataset, recipe, error_unit, best_for)
        self._loop = _Loop(network, dataset, recipe, seed, device, data, scored, micro_batches)
        has_best = keep_best or (recipe.early_stopping and data == "train")
        self._best = _Best(network) if has_best else None
        self._epoch = 0
        if start is not None:
            self._epoch = start.epoch
            self._pretrained = dict(start.values.get("pretrained", {}))
            self._loop.load(_part(start.tensors, "optimizer."), start.values["last_norm"])
            network.load_state_dict(_part(start.tensors, "network."))
            if self._best is not None:
                self._best.load(_part(start.tensors, "best."), start.values["best"])

    def state(self) -> TrainingState:
        """After the epoch that was yielded last."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "network.": self._network.state_dict(),
            "optimizer.": self._loop.tensors(),
        }
        values: dict[str, Any] = {
            "last_norm": self._loop.last_norm,
            "best": None,
            "pretrained": self._pretrained,
        }
        if self._best is not None:
            parts["best."] = self._best.weights
            values["best"] = {"epoch": self._best.epoch, "metrics": self._best.metrics}
        tensors = {
            prefix + name: dense(tensor)
            for prefix, part in parts.items()
            for name, tensor in part.items()
        }
        return TrainingState(self._epoch, tensors, values)

    def epochs(self) -> Generator[dict[str, float]]:
        """As `train` yields them."""
        best = self._best
        try:
            if self._epoch == 0 and self._recipe.pretraining != "none":
                for loss in self._pretraining():
                    self._pretrained = {"pretraining_loss": loss}
            while not self._is_over():
                epoch = self._epoch + 1
                metrics = self._loop.epoch(epoch)
                if best is not None:
                    best.see(epoch, metrics)
                self._epoch = epoch
                last = self._is_over()
                if best is not None:
                    metrics = best.restore(epoch) if last else metrics | {"best_epoch": best.epoch}
                if last and (found := diagnosis(metrics)):
                    log.warning("after epoch %d the run is %s", epoch, found)
                yield metrics | self._pretrained
        finally:
            _set_memory_format(self._network, torch.contiguous_format)

    def _is_over(self) -> bool:
        patience, best = self._recipe.early_stopping, self._best
        if best is not None and 0 < patience <= self._epoch - best.epoch:
            return True
        return self._epoch >= self._recipe.epochs


class _Loop:
    """What stays the same from epoch to epoch."""

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        data: Literal["train", "train+val"],
        scored: Scoring,
        micro_batches: int,
    ) -> None:
        self._network, self._recipe, self._seed = network, recipe, seed
        self._micro_batches = micro_batches
        self._device, self._task = device, dataset.task
        origin = next(network.parameters()).device
        generator = torch.Generator(origin).manual_seed(
            seed_for(seed, TrainingPurpose.INITIALIZATION)
        )
        initialize(network, recipe.initialization, generator)
        network.to(device)
        _set_memory_format(network, torch.channels_last)

        whole = data == "train+val"
        split = dataset.train.joined(dataset.validation) if whole else dataset.train
        if recipe.augmentation != "none" and not _is_image(split.x):
            raise ValueError(
                f"augmentation {recipe.augmentation!r} needs images, "
                f"a sample here has shape {dataset.task.input_shape}"
            )
        self._inputs = inputs(split, encoded_targets(dataset, recipe, split.y), device)
        self._validation = resident(dataset.validation, device) if data == "train" else None

        generator = torch.Generator().manual_seed(seed_for(seed, TrainingPurpose.STATISTICS))
        self._count = len(split)
        sample = torch.randperm(self._count, generator=generator)
        self._sample = moved(sample, self._inputs.home)
        self._steps = math.ceil(self._count / recipe.batch_size)
        self._learning_rate = schedule(recipe, self._steps)
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._weights = regularization.weights(network)
        self._optimizer = optimizer(recipe, self._parameters)
        self._loss = criterion(dataset, recipe, self._inputs.y)
        self._scoring = scored
        proximal = recipe.l1_step == "proximal"
        self._l1, self._threshold = (0.0, recipe.l1) if proximal else (recipe.l1, 0.0)
        self.last_norm: tuple[int, float] | None = None

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's."""
        return tensors_of(self._optimizer)

    def load(self, tensors: Mapping[str, Tensor], last_norm: tuple[int, float] | None) -> None:
        load_tensors(self._optimizer, tensors)
        self.last_norm = last_norm

    def epoch(self, number: int) -> dict[str, float]:
        """One pass over the training samples, then validation."""
        with seeded(seed_for(self._seed, TrainingPurpose.EPOCH, number), self._device):
            metrics = {"epoch": number, **self._pass(number)}
        self._check(number, "training", metrics["train_loss"])
        normalization.renew(self._network, self._inputs.batch, self._sample)
        if self._validation is not None:
            score = self._scoring(self._device)
            metrics |= evaluate(self._network, self._validation, self._task, "val", score=score)
            metrics |= score.chosen
            self._check(number, "validation", metrics["val_loss"])
        return metrics

    def _pass(self, number: int) -> dict[str, float]:
        """The hot loop."""
        recipe, network, optimizer = self._recipe, self._network, self._optimizer
        generator = torch.Generator().manual_seed(
            seed_for(self._seed, TrainingPurpose.ORDER, number)
        )
        order = torch.randperm(self._count, generator=generator)
        # Batches of nearly equal size: none is a sliver that batch normalisation cannot use.
        batches = self._inputs.batches(order, self._steps, self._draw_shifts(generator))
        total = torch.zeros((), device=self._device)
        health: list[Tensor] = []
        network.train()
        first = (number - 1) * self._steps
        for step, (x, y) in enumerate(batches):
            rate = self._learning_rate(first + step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            loss = self._backward(x, y)
            regularization.add_penalty_gradient(self._weights, self._l1, recipe.l2)
            if step == self._steps - 1:
                health = [
                    gradients.gradient_norm(self._parameters),
                    *gradients.health(self._weights),
                ]
            if recipe.clip_norm:
                nn.utils.clip_grad_norm_(self._parameters, recipe.clip_norm, foreach=True)
            regularization.decay(self._weights, rate * recipe.weight_decay)
            optimizer.step()
            if self._threshold:
                scales = [step_scale(optimizer, weight) for weight in self._weights]
                amounts = [rate * self._threshold * scale for scale in scales]
                regularization.soft_threshold(self._weights, amounts)
            total.add_(loss, alpha=len(y))
            give_way()
        return self._read(number, total, health)

    def _backward(self, x: Samples, y: Tensor) -> Tensor:
        """Gradients of the mean loss, which it gives."""
        if self._micro_batches == 1:
            loss = self._loss_of(x, y)
            torch.autograd.backward(loss)
            return loss.detach()
        total = torch.zeros((), device=self._device)
        for low, high in _parts(len(y), self._micro_batches):
            loss = self._loss_of(x[low:high], y[low:high]) * ((high - low) / len(y))
            torch.autograd.backward(loss)
            total += loss.detach()
        return total

    def _loss_of(self, x: Samples, y: Tensor) -> Tensor:
        """The mean loss of the network, or of its members."""
        network = self._network
        if isinstance(network, OfMembers) and network.members > 1:
            with self._autocast():
                outputs = network.each(x).flatten(0, 1)
            return self._loss(outputs.float(), y.repeat_interleave(network.members, dim=0))
        with self._autocast():
            outputs = network(x)
        return self._loss(outputs.float(), y)

    def _read(self, number: int, total: Tensor, health: Sequence[Tensor]) -> dict[str, float]:
        """Of an epoch: the one time that its pass waits for the device."""
        values = [value.to(self._device, torch.float64) for value in (total, *health)]
        loss, norm, *of_layers = torch.stack(values).tolist()
        if math.isfinite(norm):
            self.last_norm = (number, norm)
        return {
            "train_loss": loss / self._count,
            **dict(zip(gradients.HEALTH, of_layers, strict=True)),
        }

    def _draw_shifts(self, generator: torch.Generator) -> list[augmentation.Shifts] | None:
        if self._recipe.augmentation == "none":
            return None
        flip = self._recipe.augmentation == "shift_flip"
        height, width = self._task.input_shape[1:]
        drawn = augmentation.draw(self._count, height, width, flip=flip, generator=generator)
        return drawn.to(self._device).split(self._steps)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._recipe.precision == "bfloat16":
            return torch.autocast(self._device.type, torch.bfloat16)
        return nullcontext()

    def _check(self, number: int, what: str, loss: float) -> None:
        if math.isfinite(loss):
            return
        seen = "no finite gradient norm was seen before"
        if self.last_norm is not None:
            seen = "last finite gradient norm {1:.3g} in epoch {0}".format(*self.last_norm)
        raise NonFiniteError(f"exploded in epoch {number}: {what} loss is {loss}; {seen}")


class _Best:
    """The weights of the lowest validation loss so far."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.weights: Mapping[str, Tensor] = {}
        self.metrics: dict[str, float] = {}
        self.epoch = 0

    def see(self, epoch: int, metrics: dict[str, float]) -> None:
        if not self.metrics or metrics["val_loss"] < self.metrics["val_loss"]:
            self.epoch, self.metrics = epoch, metrics
            state = self._network.state_dict()
            self.weights = {name: value.detach().clone() for name, value in state.items()}

    def load(self, weights: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        self.epoch, self.metrics = values["epoch"], dict(values["metrics"])
        self.weights = dict(weights)

    def restore(self, epoch: int) -> dict[str, float]:
        """Load the best weights; their metrics, under the number of the last epoch."""
        if epoch != self.epoch:
            self._network.load_state_dict(self.weights)
        return self.metrics | {"epoch": epoch, "best_epoch": self.epoch}


def _is_image(x: Samples) -> bool:
    return isinstance(x, Tensor) and x.dim() == 4


def _parts(count: int, parts: int) -> Iterator[tuple[int, int]]:
    """Bounds of parts of nearly equal size, none of a single sample, which has no variance."""
    parts = max(1, min(parts, count // 2))
    bounds = [count * part // parts for part in range(parts + 1)]
    return pairwise(bounds)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Of the weights with four axes; the others have one format."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)
