"""LeNet-5, LeCun et al., Proceedings of the IEEE 1998."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from models.architecture import Architecture
from models.datasets import Dataset, Split
from models.presets import preset
from models.recipe import Recipe
from models.simple import simple_models
from models.task import Task
from models.training.baseline import Predictor
from models.training.known_networks import trained

STEPS, BATCH, MOST_EPOCHS = 600, 64, 15
LEAST_SIDE = 12
"""Of pictures that its convolutions and pooling leave anything of."""


@simple_models.register("lenet")
class LeNet:
    """The preset, by Adam with its own step size for 600 steps and 15 epochs at most. It sees each
    pixel of a small picture several times, so that there are 12 a side.
    """

    tasks = frozenset({"image_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        times = -(-LEAST_SIDE // min(dataset.task.input_shape[1:]))
        channels, height, width = dataset.task.input_shape
        seen = replace(
            dataset,
            task=replace(dataset.task, input_shape=(channels, times * height, times * width)),
            train=_enlarged(dataset.train, times),
            validation=_enlarged(dataset.validation, times),
        )
        epochs = min(-(-STEPS * BATCH // len(dataset.train)), MOST_EPOCHS)
        recipe = Recipe(epochs=epochs, batch_size=BATCH, optimizer="adam", learning_rate=0.001)
        predict = trained(_fitting(seen.task), seen, recipe, until)
        return lambda part: predict(_enlarged(part, times))


def _fitting(task: Task) -> Architecture:
    """The preset, whose last pooling keeps 5 x 5 places, or what there is."""
    known, (_, *sides) = preset("lenet-5").architecture, task.input_shape
    left = (min(sides) // 2 - 4) // 2
    return Architecture(known.family, {**known.decisions, "head_pool": min(5, left)})


def _enlarged(split: Split, times: int) -> Split:
    """Each pixel so many times, in height and width.

    Shapes:
        x: (N, C, H, W) -> (N, C, times * H, times * W)
    """
    if times == 1:
        return split
    repeated = partial(torch.repeat_interleave, repeats=times)
    return Split(repeated(repeated(split.x, dim=2), dim=3), split.y)
