"""Weight sharing for the recurrent cell of DARTS, Liu et al., ICLR 2019,
https://arxiv.org/abs/1806.09055, section 3.1.2: every edge is a mixture of all activations and of
none, and all layers and directions have the same mix.
"""

from __future__ import annotations

from functools import partial as applied

import torch
from torch import Tensor

from models.architecture import Architecture, Decision
from models.domains import Scalar, as_domain
from models.families.rnn import Network, Rnn, RnnSettings
from models.family import FamilySettings, families
from models.operations.recurrent import DartsCell, DartsRNN
from models.recipe import Recipe
from models.supernets import Group, Mix, Supernet, supernets
from models.supernets.activity import placed
from models.supernets.cells import edges
from models.supernets.fixed import check_fixed, check_whole, one_value_each
from models.supernets.recurrent import MixedCell
from models.task import Task

NONE = "none"
"""An edge that leads nowhere, as in the paper. It is never derived."""


@supernets.register("rnn")
class RnnRelaxation:
    """The cell is darts, and all but its edges and activations is one value each."""

    @classmethod
    def check(cls, settings: FamilySettings, *, partial: int = 1, task: Task | None = None) -> None:
        check_whole(partial, "rnn")
        cls._fixed(settings, task)

    @classmethod
    def build(cls, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        check_whole(partial, "rnn")
        fixed = cls._fixed(settings, task)
        assert isinstance(settings, RnnSettings)  # noqa: S101 - `_fixed` has looked
        return RnnSupernet(fixed, settings.activations, task)

    @staticmethod
    def _fixed(settings: FamilySettings, task: Task | None) -> dict[str, Scalar]:
        if not isinstance(settings, RnnSettings):
            raise TypeError(f"rnn needs RnnSettings, got {type(settings).__name__}")
        if task is None:
            names = ("cell", "layers", "hidden", "nodes")
            decisions = [Decision(name, as_domain(getattr(settings, name))) for name in names]
        else:
            decisions = [d for d in Rnn.decisions(settings, task) if not _is_searched(d.name)]
        return one_value_each(decisions, {"cell": "darts"})


class RnnSupernet(Supernet):
    """Holds a plain network, whose weights are those of all others too."""

    def __init__(self, fixed: dict[str, Scalar], activations: tuple[str, ...], task: Task) -> None:
        super().__init__()
        self.fixed, self.activations, self.task = fixed, activations, task
        self.nodes = int(fixed["nodes"])
        self.edges = edges(1, self.nodes + 1)
        self.groups = {
            "cell": Group(
                tuple(f"{source}-{node}" for source, node in self.edges),
                (NONE, *activations),
                tuple(node for _, node in self.edges),
            )
        }
        chain = [(node - 1, activations[0]) for node in range(1, self.nodes + 1)]
        network = families["rnn"].build(self._architecture(chain), task, Recipe())
        assert isinstance(network, Network)  # noqa: S101 - for the type checker
        self.network = network

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        view, outputs = self.network.view, applied(self._outputs, mix=mix)
        return outputs(x) if view is None else view(x, outputs)

    def _outputs(self, x: Tensor, mix: Mix) -> Tensor:
        recurrent = self.network.recurrent
        assert isinstance(recurrent, DartsRNN)  # noqa: S101 - for the type checker
        tokens, x = x, self.network.embedded(x)
        for first in range(0, len(recurrent.cells), recurrent.directions):
            x = recurrent.dropout(x) if first else x
            states = []
            for cell in recurrent.cells[first : first + recurrent.directions]:
                assert isinstance(cell, DartsCell)  # noqa: S101 - for the type checker
                mixed = MixedCell(cell, self.activations, mix["cell"])
                states.append(mixed.states(x, self.part))
            x = torch.cat(states, dim=-1)
        return self.network.read(x, tokens)

    def derive(self, mix: Mix) -> Architecture:
        """Section 2.4 with one edge a node, as for the recurrent cell of the paper: where any
        activation is strongest, none aside.
        """
        weights = mix["cell"][:, 1:].detach().tolist()
        chosen: dict[int, tuple[float, int, int]] = {}
        for (source, node), row in zip(self.edges, weights, strict=True):
            column = max(range(len(row)), key=row.__getitem__)
            if node not in chosen or row[column] > chosen[node][0]:
                chosen[node] = row[column], source, column
        return self._architecture(
            [(source, self.activations[column]) for _, source, column in chosen.values()]
        )

    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        check_fixed(architecture, self.fixed)
        mix = torch.zeros(len(self.edges), 1 + len(self.activations))
        for node in range(1, self.nodes + 1):
            source = architecture.decisions[f"node_{node}_source"]
            activation = architecture.decisions[f"node_{node}_activation"]
            row = self.edges.index((int(source), node))
            mix[row, 1 + self.activations.index(str(activation))] = 1
        return {"cell": placed(mix, next(self.parameters()))}

    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self.mix_of(architecture)  # refuses what is no subnet
        return {name: weight.detach().clone() for name, weight in self.network.state_dict().items()}

    def _architecture(self, nodes: list[tuple[int, str]]) -> Architecture:
        """Of (source, activation) for each node from 1 on."""
        values = dict(self.fixed)
        for node, (source, activation) in enumerate(nodes, 1):
            values[f"node_{node}_source"] = source
            values[f"node_{node}_activation"] = activation
        return Architecture("rnn", values)


def _is_searched(decision: str) -> bool:
    return decision.startswith("node_")
