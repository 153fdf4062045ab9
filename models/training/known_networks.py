"""A known network, trained as a person would who tries it first: nothing is chosen."""

from __future__ import annotations

import time

import torch

from models.architecture import Architecture
from models.datasets import Dataset
from models.recipe import Recipe
from models.training.baseline import Predictor
from models.training.initialization import build
from models.training.trainer import train


def trained(
    architecture: Architecture, dataset: Dataset, recipe: Recipe, until: float
) -> Predictor:
    """What it says after its last epoch, or the one in which `time.perf_counter` passes `until`.

    Raises:
        models.family.InfeasibleError: there is no such network for the task.
    """
    network = build(architecture, dataset.task, recipe, seed=0)
    for _ in train(network, dataset, recipe, seed=0):
        if time.perf_counter() > until:
            break
    network.eval()
    return torch.no_grad()(lambda part: network(part.x))
