"""Convolutions over the tokens of a text, of several lengths side by side, and the largest of each.

Kim, EMNLP 2014, https://arxiv.org/abs/1408.5882: CNN-rand, whose embeddings are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import integer
from models.domains import Choice, Range, as_domain
from models.family import Definition, FamilySettings, RecipeWhen, families, vocabulary_of
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import module_text, output_lines

MAX_WIDTH, MAX_FILTERS, MAX_SHORTEST, MAX_LENGTHS = 4096, 4096, 16, 8


class TextCnnSettings(FamilySettings):
    """Filters of `lengths` lengths, one token apart, see the embeddings of so many tokens."""

    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((32, 64, 128)), description="of an embedding"
    )
    filters: Searchable[Annotated[int, Field(ge=1, le=MAX_FILTERS)]] = Field(
        Choice((16, 32, 64, 100)), description="of each length"
    )
    shortest: Searchable[Annotated[int, Field(ge=1, le=MAX_SHORTEST)]] = Field(
        Range(1, 4), description="tokens that the shortest filters see"
    )
    lengths: Searchable[Annotated[int, Field(ge=1, le=MAX_LENGTHS)]] = Field(
        Range(1, 4), description="lengths of filters, each a token longer than the one before"
    )


class Filters(nn.Module):
    """The largest value of each filter over a text, 0 at least, as after a ReLU. What stands after
    the end of a text counts for nothing: 0 is no token, and filters see zeros there.

    Shapes:
        (N, length) -> (N, lengths * filters)
    """

    def __init__(
        self, vocabulary: int, width: int, filters: int, shortest: int, lengths: int
    ) -> None:
        super().__init__()
        self.shortest, self.longest = shortest, shortest + lengths - 1
        self.tokens = nn.Embedding(vocabulary, width)
        self.filters = nn.ModuleList(
            nn.Linear(width * (shortest + more), filters) for more in range(lengths)
        )

    def forward(self, x: Tensor) -> Tensor:
        """A filter may begin before the end of a text and reach beyond it."""
        present = (x != 0).to(self.tokens.weight.dtype).unsqueeze(2)
        embedded = functional.pad(self.tokens(x) * present, (0, 0, 0, self.longest - 1))
        found, windows = [], embedded[:, : x.shape[1]]
        for place in range(1, self.longest + 1):
            if place >= self.shortest:
                seen = functional.relu(self.filters[place - self.shortest](windows))
                found.append((seen * present).amax(dim=1))
            if place < self.longest:
                windows = torch.cat([windows, embedded[:, place : place + x.shape[1]]], dim=2)
        return torch.cat(found, dim=1)


class Network(nn.Module):
    """A linear map of what the filters find.

    Shapes:
        (N, length) -> (N, task.outputs)
    """

    def __init__(self, filters: Filters, sizes: Sequence[int], task: Task, dropout: float) -> None:
        """sizes: what `filters` is made of."""
        super().__init__()
        self.task, self.sizes, self.filters = task, tuple(sizes), filters
        self.dropout = nn.Dropout(dropout)
        _, _, count, _, lengths = sizes
        self.output = nn.Linear(count * lengths, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.dropout(self.filters(x)))
        return outputs


@families.register("text_cnn")
class TextCnn:
    """Decisions: `width`, `filters`, `shortest` and `lengths`."""

    Settings = TextCnnSettings
    tasks = frozenset({"text_classification"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, TextCnnSettings):
            raise TypeError(f"text_cnn needs TextCnnSettings, got {type(settings).__name__}")
        vocabulary_of(task, "text_cnn")
        return [
            Decision(name, as_domain(getattr(settings, name)))
            for name in ("width", "filters", "shortest", "lengths")
        ]

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        values = architecture.decisions
        sizes = (
            vocabulary_of(task, "text_cnn"),
            integer(values, "width"),
            integer(values, "filters"),
            integer(values, "shortest"),
            integer(values, "lengths"),
        )
        return Network(Filters(*sizes), sizes, task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The architecture itself."""
        return architecture

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(
                f"expected a network of the family text_cnn, got {type(network).__name__}"
            )
        return Definition((Filters,), _text(network))


def _text(network: Network) -> str:
    output, features = network.output, "self.filters(x)"
    constructor = [f"self.filters = Filters({', '.join(map(str, network.sizes))})"]
    made, returned = output_lines(
        features, network.dropout.p, output.in_features, output.out_features
    )
    (length,) = network.task.input_shape
    return module_text(
        "Network",
        [f"(N, {length}) -> (N, {output.out_features})."],
        [],
        [*constructor, *made],
        ["x"],
        [f"return {returned}"],
    )
