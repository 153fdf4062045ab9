"""Language models of hashed n-grams, alone or beside a recurrent layer.

Mikolov et al., ASRU 2011, https://ieeexplore.ieee.org/document/6163930: RNNME, whose n-grams stand
in one hash table; here each length has a table of its own, and what they hold are embeddings, not
one weight for each token that may follow, so that a large vocabulary costs no more.
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
from models.family import Definition, FamilySettings, InfeasibleError, RecipeWhen, families
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import module_text, output_lines

MAX_LONGEST, MAX_WIDTH, MAX_BUCKETS, MAX_HIDDEN = 8, 4096, 1_000_000, 8192


class NgramSettings(FamilySettings):
    """What follows the last tokens, as they have been seen together; farther back a GRU looks."""

    longest: Searchable[Annotated[int, Field(ge=1, le=MAX_LONGEST)]] = Field(
        Range(3, 5), description="tokens of the longest n-gram"
    )
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((32, 64)), description="of an embedding"
    )
    buckets: Searchable[Annotated[int, Field(ge=1, le=MAX_BUCKETS)]] = Field(
        Choice((16_384, 65_536)),
        description="embeddings that n-grams of one length, of two tokens and more, share by a "
        "hash",
    )
    hidden: Searchable[Annotated[int, Field(ge=0, le=MAX_HIDDEN)]] = Field(
        Choice((0, 64, 128)), description="units of a GRU beside the n-grams; 0: there is none"
    )


class Ngrams(nn.Module):
    """The sum of the embeddings of the n-grams that end at each token. Where there are no more of
    a length than `buckets`, each has its own.

    Shapes:
        (N, length) -> (N, length, width)
    """

    def __init__(self, vocabulary: int, width: int, longest: int, buckets: int) -> None:
        super().__init__()
        self.vocabulary, self.width, self.buckets = vocabulary, width, buckets
        counts = [vocabulary, *(vocabulary**n for n in range(2, longest + 1))]
        self.sizes = [vocabulary, *(min(count, buckets) for count in counts[1:])]
        self.factors = [vocabulary if count <= buckets else 31_337 for count in counts]
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in self.sizes)
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.tables[0](x)
        places = x
        for before in range(1, min(len(self.sizes), x.shape[1])):
            places = places[:, 1:] * self.factors[before] + x[:, :-before]
            places = places % self.sizes[before]
            found = found + functional.pad(self.tables[before](places), (0, 0, before, 0))
        return found


class Network(nn.Module):
    """A linear map of n-grams and, beside them, of the states of a GRU.

    Shapes:
        (N, length) -> (N, length, vocabulary)
    """

    def __init__(self, ngrams: Ngrams, hidden: int, task: Task, dropout: float) -> None:
        """hidden: units of the GRU; 0: none."""
        super().__init__()
        self.task, self.hidden, self.ngrams = task, hidden, ngrams
        if hidden:
            self.embedding = nn.Embedding(ngrams.vocabulary, hidden)
            self.recurrent = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(ngrams.width + hidden, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        features = self.ngrams(x)
        if self.hidden:
            states, _ = self.recurrent(self.embedding(x))
            features = torch.cat([features, states], dim=2)
        outputs: Tensor = self.output(self.dropout(features))
        return outputs


@families.register("ngram")
class Ngram:
    """Decisions: `longest`, `width`, `buckets` and `hidden`."""

    Settings = NgramSettings
    tasks = frozenset({"language_modeling"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, NgramSettings):
            raise TypeError(f"ngram needs NgramSettings, got {type(settings).__name__}")
        _check_task(task)
        names = ("longest", "width", "buckets", "hidden")
        return [Decision(name, as_domain(getattr(settings, name))) for name in names]

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        _check_task(task)
        values, (length,) = architecture.decisions, task.input_shape
        longest = min(integer(values, "longest"), length)
        width, buckets = integer(values, "width"), integer(values, "buckets")
        ngrams = Ngrams(task.outputs, width, longest, buckets)
        return Network(ngrams, integer(values, "hidden", low=0), task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The architecture itself."""
        return architecture

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family ngram, got {type(network).__name__}")
        return Definition((Ngrams,), _text(network))


def _text(network: Network) -> str:
    task, ngrams, hidden, output = network.task, network.ngrams, network.hidden, network.output
    sizes = [ngrams.vocabulary, ngrams.width, len(ngrams.sizes), ngrams.buckets]
    constructor = [f"self.ngrams = Ngrams({', '.join(map(str, sizes))})"]
    forward, features = [], "self.ngrams(x)"
    if hidden:
        constructor.append(f"self.embedding = nn.Embedding({task.outputs}, {hidden})")
        constructor.append(f"self.recurrent = nn.GRU({hidden}, {hidden}, batch_first=True)")
        forward.append("states, _ = self.recurrent(self.embedding(x))")
        forward.append("features = torch.cat([self.ngrams(x), states], dim=2)")
        features = "features"
    made, returned = output_lines(
        features, network.dropout.p, output.in_features, output.out_features
    )
    (length,) = task.input_shape
    return module_text(
        "Network",
        [f"(N, {length}) -> (N, {length}, {task.outputs})."],
        [],
        [*constructor, *made],
        ["x"],
        [*forward, f"return {returned}"],
    )


def _check_task(task: Task) -> None:
    if task.name != "language_modeling" or task.vocabulary is None:
        raise InfeasibleError(
            "family", f"ngram needs a language_modeling, got {task.name} with {task.input_shape}"
        )
