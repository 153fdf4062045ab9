"""Random convolutions and ridge regression, Dempster et al., ROCKET, DMKD 2020."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Dataset, Split
from models.families.rocket import RandomKernels, of_dilations
from models.simple import simple_models
from models.streams import TrainingPurpose, seed_for, seeded
from models.training.baseline import Predictor

KERNELS, LENGTH, BATCH = 1000, 9, 64


@simple_models.register("rocket")
class Rocket:
    """The kernels of our family of that name, 1,000 in place of 10,000, and scikit-learn's ridge
    classifier, its penalty by leave-one-out as in the paper. What it says is no probability.
    """

    tasks = frozenset({"sequence_classification"})

    @staticmethod
    def fit(dataset: Dataset, until: float) -> Predictor:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        steps, channels = dataset.task.input_shape
        with seeded(seed_for(0, TrainingPurpose.INITIALIZATION), torch.device("cpu")):
            kernels = RandomKernels(channels, LENGTH, of_dilations(KERNELS, LENGTH, steps))
        estimator = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10)))
        estimator.fit(_features(kernels, dataset.train), dataset.train.y.numpy())

        def predict(part: Split) -> Tensor:
            said = torch.from_numpy(estimator.decision_function(_features(kernels, part)))
            said = torch.stack([-said, said], dim=1) if said.dim() == 1 else said
            found = torch.full((len(part), dataset.task.outputs), float(said.min()) - 1)
            found[:, estimator.classes_] = said.float()
            return found

        return predict


@torch.no_grad()
def _features(kernels: RandomKernels, split: Split) -> NDArray[np.float32]:
    """Of each sequence.

    Shapes:
        -> (N, 2 * KERNELS)
    """
    assert isinstance(split.x, Tensor)  # noqa: S101 - of sequences
    found: NDArray[np.float32] = torch.cat(
        [kernels(x) for x in torch.split(split.x, BATCH)]
    ).numpy()
    return found
