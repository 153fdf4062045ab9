"""Two views of a sample are told from those of all others.

Images: Chen et al., SimCLR, ICML 2020, https://arxiv.org/abs/2002.05709. Tables: Bahri et al.,
SCARF, ICLR 2022, https://arxiv.org/abs/2106.15147, whose views are the sample and the sample with
some columns drawn anew; its loss asks in one direction, the one here in both.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from models.datasets.tabular import columns_of_features
from models.training.augmentation import distorted
from models.training.pretexts import Material, Observe, Seen, pretexts
from models.training.pretexts.masked import picked

PROJECTION = 128
"""Values of z, SimCLR, section 4.2."""

IMAGE_TEMPERATURE = 0.5
"""SimCLR, appendix B.9, on CIFAR-10."""

TABLE_TEMPERATURE = 1.0
"""SCARF, section 4."""

CORRUPTED = 0.6
"""Share of a table's columns that are drawn anew, SCARF's c, section 4."""


@pretexts.register("contrastive")
class Contrastive(nn.Module):
    """NT-Xent of two views, after a projection with one hidden layer."""

    tasks = frozenset({"tabular_classification", "tabular_regression", "image_classification"})
    views = 2

    def __init__(self, material: Material, seen: Seen) -> None:
        super().__init__()
        self.material = material
        self.is_table = len(material.task.input_shape) == 1
        self.temperature = TABLE_TEMPERATURE if self.is_table else IMAGE_TEMPERATURE
        width = seen.features.shape[1]
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION)
        )

    def loss(self, observe: Observe, x: Tensor, generator: Generator) -> Tensor:
        if self.is_table:
            columns = columns_of_features(self.material.preprocessing)
            views = [x, corrupted(x, self.material.samples, columns, generator)]
        else:
            views = [distorted(x, self.material.flip, generator) for _ in range(2)]
        features = observe(torch.cat(views)).features
        first, second = self.projection(features).tensor_split(2)
        return nt_xent(first, second, self.temperature)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Equation 1 of SimCLR, the mean over both views of every sample:
    -log(exp(sim(z_i, z_j) / tau) / sum over k other than i of exp(sim(z_i, z_k) / tau)).

    Shapes:
        first, second: (N, values), the views of a sample in the same row
    """
    z = functional.normalize(torch.cat([first, second]), dim=1)
    similarity = z @ z.T / temperature
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    partner = torch.arange(len(z), device=z.device).roll(len(first))
    return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def corrupted(x: Tensor, samples: Tensor, columns: Tensor, generator: Generator) -> Tensor:
    """Some columns of each row from rows drawn at random, each from one of its own: SCARF's
    algorithm 1. The features of a category move together.

    Shapes:
        x: (N, features); samples: (M, features); columns: (features,) the column of each feature
    """
    count, width = len(x), int(columns[-1]) + 1
    anew = picked(count, width, CORRUPTED, generator)[:, columns].to(x.device)
    rows = torch.randint(len(samples), (count, width), generator=generator)[:, columns]
    features = torch.arange(samples.shape[1], device=x.device)
    return torch.where(anew, samples[rows.to(x.device), features], x)
