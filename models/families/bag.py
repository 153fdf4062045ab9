"""Bags of n-grams: their embeddings as one, and a linear map.

Joulin et al., EACL 2017, https://arxiv.org/abs/1607.01759: fastText, without its hierarchical
softmax. Its mean says less of a long text than of a short one; the sum over the root of their
number is as large for both, as a row of TF-IDF is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn

from models.architecture import Architecture, Decision
from models.decisions import Values, condition, domain_values, integer, option
from models.domains import Choice, Range, as_domain
from models.family import Definition, FamilySettings, RecipeWhen, families, vocabulary_of
from models.recipe import Recipe
from models.settings import Searchable
from models.task import Task
from models.writing import module_text, output_lines

MAX_NGRAM, MAX_WIDTH, MAX_BUCKETS = 5, 4096, 1_000_000
POOLINGS = ("mean", "root")


class BagSettings(FamilySettings):
    """The order of tokens counts within n-grams alone."""

    ngrams: Searchable[Annotated[int, Field(ge=1, le=MAX_NGRAM)]] = Field(
        Range(1, 3), description="tokens of the longest; 1: each token by itself"
    )
    width: Searchable[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = Field(
        Choice((16, 32, 64, 128)), description="of an embedding"
    )
    buckets: Searchable[Annotated[int, Field(ge=1, le=MAX_BUCKETS)]] = Field(
        Choice((4096, 16_384)),
        description="embeddings that n-grams of two tokens and more share by a hash",
    )
    pooling: Searchable[Literal["mean", "root"]] = Field(
        "mean",
        description="the sum of the embeddings over their number, or its root; left open both are "
        "searched",
    )

    def for_task(self, task: Task, *, shares_weights: bool = False) -> Self:
        if "pooling" in self.model_fields_set:
            return self
        return self.model_copy(update={"pooling": Choice(POOLINGS)})


class Bag(nn.Module):
    """The mean of the embeddings of the tokens and n-grams of a text, or with `root` their sum over
    the root of their number; 0 is no token, and a text without any has 0.

    Embeddings begin as small as those of fastText: of a word that is seen twice most is what it
    began with.

    Shapes:
        (N, length) -> (N, width)
    """

    def __init__(
        self, vocabulary: int, width: int, ngrams: int = 1, buckets: int = 0, root: bool = False
    ) -> None:
        super().__init__()
        self.longest, self.buckets, self.root = ngrams, buckets, root
        self.tokens = nn.Embedding(vocabulary, width)
        if ngrams > 1:
            self.ngrams = nn.Embedding(buckets, width)
        for embeddings in self.parameters():
            nn.init.uniform_(embeddings, -1 / width, 1 / width)

    def forward(self, x: Tensor) -> Tensor:
        present = (x != 0).to(self.tokens.weight.dtype).unsqueeze(2)
        total: Tensor = (self.tokens(x) * present).sum(dim=1)
        count = present.sum(dim=1)
        places = x
        for longer in range(1, min(self.longest, x.shape[1])):
            places = (places[:, :-1] * 31_337 + x[:, longer:]) % self.buckets
            whole = present[:, longer:]  # padding stands at the end
            total = total + (self.ngrams(places) * whole).sum(dim=1)
            count = count + whole.sum(dim=1)
        count = count.clamp(min=1)
        return total / (count.sqrt() if self.root else count)


class Network(nn.Module):
    """A linear map of a bag.

    Shapes:
        (N, length) -> (N, task.outputs)
    """

    def __init__(self, bag: Bag, task: Task, dropout: float) -> None:
        super().__init__()
        self.task, self.bag = task, bag
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(bag.tokens.embedding_dim, task.outputs)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.dropout(self.bag(x)))
        return outputs


@families.register("bag")
class BagOfNgrams:
    """Decisions: `ngrams`, `width`, `pooling` where it is not left at mean, and, of more than
    single tokens, `buckets`.
    """

    Settings = BagSettings
    tasks = frozenset({"text_classification"})
    pretrainable = False
    recipe_when: ClassVar[RecipeWhen] = {"batch_norm": None}

    @staticmethod
    def decisions(settings: FamilySettings, task: Task) -> Sequence[Decision]:
        if not isinstance(settings, BagSettings):
            raise TypeError(f"bag needs BagSettings, got {type(settings).__name__}")
        vocabulary_of(task, "bag")
        decisions = [
            Decision("ngrams", as_domain(settings.ngrams)),
            Decision("width", as_domain(settings.width)),
        ]
        if longer := [n for n in domain_values(settings.ngrams) if n > 1]:
            when = condition("ngrams", settings.ngrams, longer)
            decisions.append(Decision("buckets", as_domain(settings.buckets), when))
        pooling = as_domain(settings.pooling)
        if pooling.values() != ("mean",):
            decisions.append(Decision("pooling", pooling, absent="mean"))
        return decisions

    @staticmethod
    def build(architecture: Architecture, task: Task, recipe: Recipe) -> nn.Module:
        values, vocabulary = architecture.decisions, vocabulary_of(task, "bag")
        ngrams = integer(values, "ngrams")
        buckets = integer(values, "buckets") if ngrams > 1 else 0
        bag = Bag(vocabulary, integer(values, "width"), ngrams, buckets, _is_root(values))
        return Network(bag, task, recipe.dropout)

    @staticmethod
    def canonical(architecture: Architecture) -> Architecture:
        """The architecture itself, but that a mean is what there was before `pooling`."""
        values = dict(architecture.decisions)
        if values.get("pooling") == "mean":
            del values["pooling"]
        return Architecture("bag", values)

    @staticmethod
    def definition(network: nn.Module, architecture: Architecture) -> Definition:
        if not isinstance(network, Network):
            raise TypeError(f"expected a network of the family bag, got {type(network).__name__}")
        return Definition((Bag,), _text(network))


def _is_root(values: Values) -> bool:
    return "pooling" in values and option(values, "pooling", POOLINGS) == "root"


def _text(network: Network) -> str:
    bag, output = network.bag, network.output
    longer = [str(bag.longest), str(bag.buckets)] if bag.longest > 1 else []
    sizes = [str(bag.tokens.num_embeddings), str(bag.tokens.embedding_dim), *longer]
    if bag.root:
        sizes.append("root=True")
    constructor, features = [f"self.bag = Bag({', '.join(sizes)})"], "self.bag(x)"
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
