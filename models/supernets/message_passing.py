"""A layer of message passing of which every operation is a part, weighted by a mix.

Every operation maps features first and passes messages afterwards, as `models.operations` says of
them. So the maps of all operations are one product, which keeps sparse features sparse, and what a
layer reads is mixed where it is mapped. Each operation has a normalisation, without scale and shift
of its own: they would undo the mix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.graph import Features, Graph
from models.operations.activation import ACTIVATIONS
from models.operations.message_passing import NodeDropout, NodeLinear, message_passings
from models.supernets.choices import Weighted


class SharedMap(nn.Module):
    """In the place of an operation's linear map: one of the graph's features, one of an earlier
    layer. What it gives has been computed with all other maps of the layer.
    """

    def __init__(self, features: int, hidden: int, outputs: int, bias: bool) -> None:
        """0 features or 0 hidden units: that map is not there."""
        super().__init__()
        self.weights = nn.ParameterDict(
            {
                name: nn.init.xavier_uniform_(torch.empty(outputs, inputs))
                for name, inputs in (("features", features), ("hidden", hidden))
                if inputs
            }
        )
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, mapped: Mapping[SharedMap, Tensor]) -> Tensor:
        own = mapped[self]
        return own if self.bias is None else own + self.bias


class MixedLayer(nn.Module):
    """Dropout of the input, message passing, normalisation, activation; or the input as it is.

    Shapes:
        values: (nodes, width) of earlier layers, or the graph's features at 0 -> (nodes, width)
    """

    def __init__(
        self,
        operations: Mapping[str, nn.Module],
        inputs: int,
        sizes: tuple[int, int],
        width: int,
        norm: str,
        dropout: float,
    ) -> None:
        """`operations` are made for so many `inputs`, a number that none of their other maps has.
        `sizes`: of the features and of an earlier layer, or 0 where the layer does not read it.
        """
        super().__init__()
        self.dropout = NodeDropout(dropout)
        self.operations, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for name, operation in operations.items():
            features, hidden = sizes
            passes = message_passings[name].is_identity
            for child, linear in list(operation.named_children()):
                if isinstance(linear, NodeLinear) and linear.in_features == inputs:
                    has_bias = linear.bias is not None
                    own = SharedMap(features, 0 if passes else hidden, width, has_bias)
                    operation.add_module(child, own)
            self.operations[name] = operation
            if norm == "batch" and not passes:
                self.norms[name] = nn.BatchNorm1d(width, affine=False)
            elif norm == "layer" and not passes:
                self.norms[name] = nn.LayerNorm(width, elementwise_affine=False)

    def forward(
        self,
        graph: Graph,
        values: Mapping[int, Tensor | Features],
        sources: Weighted,
        operations: Weighted,
        activations: Weighted,
    ) -> Tensor:
        names = [str(name) for name, _ in operations]
        computed = [name for name in names if not message_passings[name].is_identity]
        mapped: dict[SharedMap, Tensor] = {}
        read: Tensor | None = None
        for source, weight in sources:
            value = values[int(source)]
            if source == 0:
                seen = self.dropout(value)
                _add_to(mapped, _products(seen, self._maps(names), "features", weight))
            else:
                assert isinstance(value, Tensor)  # noqa: S101 - the features alone are sparse
                read = weight * value if read is None else read + weight * value
        if read is not None and computed:
            _add_to(mapped, _products(self.dropout(read), self._maps(computed), "hidden"))
        parts: list[Tensor] = []
        if computed:
            found = torch.stack([self._normalised(name, mapped, graph) for name in computed])
            weights = torch.stack([w for name, w in operations if str(name) in computed])
            for kind, share in activations:
                acted: Tensor = ACTIVATIONS[str(kind)]()(found)
                parts.append(share * (weights @ acted.flatten(1)).view_as(found[0]))
        for name, weight in operations:
            if str(name) not in computed:
                if any(own in mapped for own in self._maps([str(name)])):
                    parts.append(weight * self.operations[str(name)](mapped, graph))
                if read is not None:
                    parts.append(weight * read)
        return reduce(add, parts)

    def state_of(self, name: str, reads_features: bool) -> dict[str, Tensor]:
        """Weights and statistics by their names in the layer of a plain network."""
        found: dict[str, Tensor] = {}
        operation = self.operations[name]
        wanted = "features" if reads_features else "hidden"
        for key, value in operation.state_dict().items():
            owner, _, rest = key.partition(".weights.")
            if not rest:
                found[f"operation.{key}"] = value
            elif rest == wanted:
                found[f"operation.{owner}.weight"] = value
        if name in self.norms:
            found |= {f"norm.{key}": v for key, v in self.norms[name].state_dict().items()}
        return found

    def _normalised(self, name: str, mapped: Mapping[SharedMap, Tensor], graph: Graph) -> Tensor:
        found: Tensor = self.operations[name](mapped, graph)
        return self.norms[name](found) if name in self.norms else found

    def _maps(self, names: Sequence[str]) -> list[SharedMap]:
        return [
            child
            for name in names
            for child in self.operations[name].children()
            if isinstance(child, SharedMap) and child.weights
        ]


def _products(
    x: Tensor | Features, maps: Sequence[SharedMap], kind: str, scale: Tensor | None = None
) -> dict[SharedMap, Tensor]:
    """What each of the maps gives, computed together."""
    maps = [own for own in maps if kind in own.weights]
    if not maps:
        return {}
    weight = torch.cat([own.weights[kind] for own in maps])
    if scale is not None:
        weight = scale * weight
    whole = functional.linear(x, weight) if isinstance(x, Tensor) else x.times(weight.t())
    return dict(zip(maps, whole.chunk(len(maps), dim=1), strict=True))


def _add_to(totals: dict[SharedMap, Tensor], parts: Mapping[SharedMap, Tensor]) -> None:
    for own, part in parts.items():
        totals[own] = totals[own] + part if own in totals else part
