"""What is hidden is to be told from the rest.

Squares of a picture, blocks of a series, tokens of a text, columns of a table;
Xie et al., SimMIM, CVPR 2022, https://arxiv.org/abs/2111.09886, equation 1: the loss is taken
where something is hidden alone, and the stand-in for the head is one linear map of each place. A
hidden number is 0, the mean of the train split: no mask that a network would have to learn and
would never see again.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from models.datasets.readings import UNKNOWN_TOKEN
from models.datasets.tabular import columns_of_features
from models.training.pretexts import Material, Observe, Seen, pretexts

COLUMNS = 0.3
"""Share of a table's; p_m of Yoon et al., VIME, NeurIPS 2020, appendix."""

SQUARES = 0.6
"""Share of an image's, SimMIM, table 1."""

BLOCKS = 0.4
"""Share of a series', Nie et al., PatchTST, ICLR 2023, section 3.2."""

TOKENS = 0.15
"""Share of a text's, Devlin et al., BERT, NAACL 2019, section 3.1; all of them become unknown."""

PARTS = 7
"""Squares along the shorter side of an image, and blocks along a series."""


@pretexts.register("masked")
class Masked(nn.Module):
    """Mean squared error of hidden numbers, cross-entropy of hidden tokens."""

    tasks = frozenset(
        {
            "tabular_classification",
            "tabular_regression",
            "image_classification",
            "forecasting",
            "sequence_classification",
            "text_classification",
        }
    )
    views = 1

    def __init__(self, material: Material, seen: Seen) -> None:
        super().__init__()
        shape = material.task.input_shape
        self.vocabulary = material.task.vocabulary
        self.columns: Tensor | None = None
        self.decoder: nn.Module
        if self.vocabulary is not None:
            self.decoder = Tokens(seen, shape[0], self.vocabulary)
        elif len(shape) == 3:
            self.decoder = Pixels(seen, *shape)
        elif len(shape) == 2:
            self.decoder = Tokens(seen, *shape)
        else:
            self.columns = columns_of_features(material.preprocessing)
            self.decoder = Values(seen, shape[0])

    def loss(self, observe: Observe, x: Tensor, generator: Generator) -> Tensor:
        hidden = self.hidden(x, generator).to(x.device)
        if self.vocabulary is not None:
            found = self.decoder(observe(x.masked_fill(hidden, UNKNOWN_TOKEN)))
            errors = functional.cross_entropy(found.transpose(1, 2), x, reduction="none")
        else:
            errors = (self.decoder(observe(x.masked_fill(hidden, 0.0))) - x).square()
        return (errors * hidden).sum() / hidden.expand_as(x).sum().clamp(min=1)

    def hidden(self, x: Tensor, generator: Generator) -> Tensor:
        """Where, of the shape of x or to be broadcast to it."""
        if self.vocabulary is not None:
            return hidden_tokens(x.cpu(), generator)
        if x.dim() == 4:
            return hidden_squares(x.shape, generator)
        if x.dim() == 3:
            return hidden_blocks(x.shape, generator)
        assert self.columns is not None  # noqa: S101 - of a table
        return picked(len(x), int(self.columns[-1]) + 1, COLUMNS, generator)[:, self.columns]


class Values(nn.Module):
    """The features of a table from those of the network."""

    def __init__(self, seen: Seen, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(seen.features.shape[1], outputs)

    def forward(self, seen: Seen) -> Tensor:
        values: Tensor = self.linear(seen.features)
        return values


class Tokens(nn.Module):
    """Of each of the last `length` tokens, so many values."""

    def __init__(self, seen: Seen, length: int, outputs: int) -> None:
        super().__init__()
        self.length = length
        self.linear = nn.Linear(_places(seen).shape[-1], outputs)

    def forward(self, seen: Seen) -> Tensor:
        values: Tensor = self.linear(_places(seen)[:, -self.length :])
        return values


class Pixels(nn.Module):
    """Of each place of a feature map, or of each patch, the pixels that it stands for."""

    def __init__(self, seen: Seen, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        places = self.grid(_places(seen))
        scale = max(math.ceil(height / places.shape[2]), math.ceil(width / places.shape[3]))
        self.linear = nn.Conv2d(places.shape[1], channels * scale**2, 1)
        self.spread = nn.PixelShuffle(scale)

    def grid(self, places: Tensor) -> Tensor:
        """Patches side by side as they are cut; a class token before them is left out."""
        if places.dim() == 4:
            return places
        height, width = self.size
        side = math.ceil(math.sqrt(height * width / places.shape[1]))
        rows, columns = height // side, width // side
        patches = places[:, -rows * columns :]
        return patches.transpose(1, 2).reshape(len(places), -1, rows, columns)

    def forward(self, seen: Seen) -> Tensor:
        pixels: Tensor = self.spread(self.linear(self.grid(_places(seen))))
        return pixels[:, :, : self.size[0], : self.size[1]]


def _places(seen: Seen) -> Tensor:
    if seen.places is None:
        raise ValueError("the network says nothing of the places of a sample")
    return seen.places


def picked(count: int, places: int, share: float, generator: Generator) -> Tensor:
    """The same number of places of each sample, at least one.

    Shapes:
        (count, places) bool
    """
    order = torch.rand(count, places, generator=generator).argsort(1).argsort(1)
    return order < max(1, round(share * places))


def hidden_squares(shape: torch.Size, generator: Generator) -> Tensor:
    """The same share of each image.

    Shapes:
        (N, 1, H, W) bool
    """
    count, _, height, width = shape
    side = max(1, round(min(height, width) / PARTS))
    rows, columns = math.ceil(height / side), math.ceil(width / side)
    squares = picked(count, rows * columns, SQUARES, generator).reshape(count, 1, rows, columns)
    pixels = squares.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return pixels[:, :, :height, :width]


def hidden_blocks(shape: torch.Size, generator: Generator) -> Tensor:
    """The same share of each series, all channels of a time step together.

    Shapes:
        (N, T, 1) bool
    """
    count, length, _ = shape
    side = max(1, round(length / PARTS))
    blocks = picked(count, math.ceil(length / side), BLOCKS, generator)
    return blocks.repeat_interleave(side, 1)[:, :length, None]


def hidden_tokens(tokens: Tensor, generator: Generator) -> Tensor:
    """Of the tokens before the padding, at least one of each text that has any.

    Shapes:
        tokens: (N, T); returns the same
    """
    real = tokens != 0
    noise = torch.rand(tokens.shape, generator=generator).masked_fill(~real, 2.0)
    wanted = (TOKENS * real.sum(1, keepdim=True)).round().clamp(min=1)
    return (noise.argsort(1).argsort(1) < wanted) & real
