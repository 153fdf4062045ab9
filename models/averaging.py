"""What several networks say of a sample, as one answer in the form of theirs; also in a bundle."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from models.recipe import VALUE_TASKS
from models.task import MULTILABEL, Task

Average = Callable[[list[Tensor], list[float]], Tensor]


def mean_of_classes(outputs: list[Tensor], shares: list[float]) -> Tensor:
    """The logarithms of the mean of their class probabilities, which are logits again.

    Shapes:
        outputs: of each (..., classes) logits; shares: one each, above 0, 1 together
        -> (..., classes)
    """
    pairs = zip(outputs, shares, strict=True)
    parts = [functional.log_softmax(output, dim=-1) + math.log(share) for output, share in pairs]
    return torch.logsumexp(torch.stack(parts), dim=0)


def mean_of_labels(outputs: list[Tensor], shares: list[float]) -> Tensor:
    """The logits of the mean of their probabilities of each label.

    Shapes:
        outputs: of each (N, labels) logits; shares: one each, above 0, 1 together
        -> (N, labels)
    """
    logits, logs = torch.stack(outputs), [math.log(share) for share in shares]
    logarithms = torch.tensor(logs, dtype=logits.dtype, device=logits.device)[:, None, None]
    has = torch.logsumexp(functional.logsigmoid(logits) + logarithms, dim=0)
    return has - torch.logsumexp(functional.logsigmoid(-logits) + logarithms, dim=0)


def mean_of_values(outputs: list[Tensor], shares: list[float]) -> Tensor:
    """The mean of the values as the networks were trained on them.

    Shapes:
        outputs: of each (N, values); shares: one each, 1 together -> (N, values)
    """
    parts = [share * output for output, share in zip(outputs, shares, strict=True)]
    return torch.stack(parts).sum(dim=0)


def average_for(task: Task) -> Average:
    """Of probabilities where there are classes, tokens or labels, else of values."""
    if task.name in VALUE_TASKS:
        return mean_of_values
    return mean_of_labels if task.name == MULTILABEL else mean_of_classes
