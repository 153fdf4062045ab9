"""Self-supervised start: the body of a network learns from samples alone, before it is trained."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator

import torch
from torch import Tensor, nn

from models.datasets import Dataset
from models.family import Body, Pretrainable
from models.memory import largest_batch
from models.quiet import give_way
from models.recipe import Recipe
from models.streams import TrainingPurpose, seed_for, seeded
from models.training.diagnosis import NonFiniteError
from models.training.optimizers import optimizer
from models.training.pretexts import Material, Pretext, Seen, pretexts
from models.training.schedules import schedule

log = logging.getLogger(__name__)


def check(network: nn.Module, dataset: Dataset, recipe: Recipe) -> None:
    """
    Raises:
        ValueError: the recipe asks for a pretraining that the network or the task has not.
    """
    name, task = recipe.pretraining, dataset.task.form
    if name == "none":
        return
    if not isinstance(network, Pretrainable) or task not in pretexts[name].tasks:
        raise ValueError(f"pretraining {name!r} is not for {type(network).__module__} on {task}")


def largest_step(dataset: Dataset, recipe: Recipe, micro_batches: int = 1) -> int:
    """Inputs of the largest pass of a training run whose steps have so many parts, its pretraining,
    which has whole steps, included.
    """
    largest = math.ceil(largest_batch(len(dataset.train), recipe.batch_size) / micro_batches)
    if recipe.pretraining == "none":
        return largest
    samples = len(dataset.train) + dataset.sizes.get("unlabelled", 0)
    inputs = pretexts[recipe.pretraining].views
    return max(largest, inputs * largest_batch(samples, recipe.pretraining_batch_size))


def pretrain(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    whole: bool = False,
) -> Generator[float]:
    """Train the network's body in place and yield the mean loss of each epoch.

    Samples are those of the train split (and, with `whole`, of validation) and the unlabelled ones;
    no label is read. The head, and what else the pretext does not reach, keep the weights that they
    had. The optimizer is Adam, its rate warms up for an epoch and falls along a cosine; penalties,
    decay and precision of the recipe are those of the training that follows, `clip_norm` counts
    here as well. A network without anything to learn before its head yields nothing.

    Raises:
        NonFiniteError: a loss is NaN or infinite.
    """
    if not isinstance(network, Pretrainable):
        raise TypeError(f"{type(network).__name__} says of no body to pretrain")
    body = network.body()
    own = {id(parameter) for parameter in network.get_submodule(body.head).parameters()}
    parameters = [p for p in network.parameters() if p.requires_grad and id(p) not in own]
    if not parameters:
        return
    samples = _samples(dataset, whole).to(device)
    material = Material(
        samples, dataset.task, dataset.preprocessing, recipe.augmentation == "shift_flip"
    )
    rule = recipe.model_copy(
        update={
            "optimizer": "adam",
            "epochs": recipe.pretraining_epochs,
            "batch_size": recipe.pretraining_batch_size,
            "learning_rate": recipe.pretraining_learning_rate,
            "schedule": "warmup_cosine",
            "warmup_epochs": 1,
        }
    )
    pretext = _pretext(recipe, material, network, body, seed_for(seed, TrainingPurpose.PRETEXT))
    parameters += pretext.parameters()
    adam = optimizer(rule, parameters)
    steps = math.ceil(len(samples) / rule.batch_size)
    rate = schedule(rule, steps)
    with _Observer(network, body) as observe:
        for epoch in range(1, rule.epochs + 1):
            generator = torch.Generator().manual_seed(
                seed_for(seed, TrainingPurpose.PRETRAINING, epoch)
            )
            order = torch.randperm(len(samples), generator=generator).to(device)
            total = torch.zeros((), device=device)
            network.train()
            with seeded(seed_for(seed, TrainingPurpose.PRETRAINING_DROPOUT, epoch), device):
                for step, index in enumerate(order.tensor_split(steps)):
                    for group in adam.param_groups:
                        group["lr"] = rate((epoch - 1) * steps + step)
                    adam.zero_grad(set_to_none=True)
                    loss = pretext.loss(observe, samples.index_select(0, index), generator)
                    torch.autograd.backward(loss)
                    if recipe.clip_norm:
                        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm, foreach=True)
                    adam.step()
                    total.add_(loss.detach(), alpha=len(index))
                    give_way()
            mean = total.item() / len(samples)
            if not math.isfinite(mean):
                raise NonFiniteError(f"exploded in epoch {epoch} of pretraining: loss is {mean}")
            log.debug("pretraining epoch %d: loss %.4f", epoch, mean)
            yield mean
    network.zero_grad(set_to_none=True)


def _samples(dataset: Dataset, whole: bool) -> Tensor:
    parts = [dataset.train.x, *([dataset.validation.x] if whole else []), dataset.unlabelled]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    x = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _pretext(
    recipe: Recipe,
    material: Material,
    network: nn.Module,
    body: Body,
    seed: int,
) -> Pretext:
    """Built for what the network makes of two samples."""
    network.eval()
    with _Observer(network, body) as observe, torch.no_grad():
        seen = observe(material.samples[:2])
    with seeded(seed, material.samples.device):
        pretext = pretexts[recipe.pretraining](material, seen)
    pretext.to(material.samples.device)
    return pretext


class _Observer:
    """Looks into a network while it runs. Its head runs too, and gets no gradient."""

    def __init__(self, network: nn.Module, body: Body) -> None:
        self._network, self._body = network, body
        self._features: Tensor | None = None
        self._places: Tensor | None = None

    def __enter__(self) -> _Observer:
        head = self._network.get_submodule(self._body.head)
        self._hooks = [head.register_forward_pre_hook(self._see_features)]
        if self._body.places is not None:
            module = self._network.get_submodule(self._body.places)
            self._hooks.append(module.register_forward_hook(self._see_places))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def __call__(self, x: Tensor) -> Seen:
        self._network(x)
        if self._features is None:
            raise ValueError(f"the network never ran its head {self._body.head!r}")
        return Seen(self._features, self._places)

    def _see_features(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]

    def _see_places(self, _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        self._places = output
