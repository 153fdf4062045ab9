"""What the options of a supernet cost: an expected cost with a gradient, and hard limits.

The cost of an option in a row is that of the plain network with it, less that of a base network
which leaves it out. FBNet, Wu et al., CVPR 2019, https://arxiv.org/abs/1812.03443, equation 5, adds
up a table of latencies in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.architecture import Architecture
from models.settings import Settings
from models.supernets import Mix, Supernet
from models.tensor_file import dense

Measure = Callable[[Architecture], float]
"""Of a plain network. Raises models.family.InfeasibleError where none can be built."""


class PenaltySettings(Settings):
    """weight * max(0, expected cost / target - 1), beside the loss of the architecture.

    The expected cost is that of the mix (`search.weight_sharing.costs`). Below the target nothing
    is gained by being cheaper still.
    """

    metric: Literal["parameters", "flops", "latency_ms"] = Field(
        "flops", description="latency_ms is measured on the worker when the supernet begins"
    )
    target: float = Field(gt=0, description="of the derived network, in the metric's own unit")
    weight: float = Field(1.0, gt=0, le=1e6, description="of the excess, as a share of the target")


@dataclass(frozen=True, slots=True, eq=False)
class OptionCosts:
    """A cost that is linear in the mix.

    base: of the network that the options are held against.
    extra: group -> what an option in a row adds to it.

    It is the plain network's own cost where that is a sum over the rows, as in a NAS-Bench-201 cell
    of which every node is on a path. Of rows that compete for a node as many count as the base
    network takes, in equal shares.
    """

    base: float
    extra: Mapping[str, Tensor]

    def expected(self, shares: Mix) -> Tensor:
        """`shares`: the probability of each option in its row."""
        parts = [
            (shares[name] * extra.to(shares[name])).sum() for name, extra in self.extra.items()
        ]
        return torch.stack(parts).sum() + self.base

    def penalty(self, shares: Mix, settings: PenaltySettings) -> Tensor:
        excess = self.expected(shares) / settings.target - 1
        return settings.weight * excess.clamp(min=0)

    @property
    def is_constant(self) -> bool:
        """Whether nothing that is decided changes it."""
        return not any(part.any() for part in self.extra.values())

    def to(self, device: torch.device) -> OptionCosts:
        return OptionCosts(self.base, {name: part.to(device) for name, part in self.extra.items()})

    def tensors(self) -> dict[str, Tensor]:
        base = torch.tensor(self.base, dtype=torch.double)
        return {"base": base, **{f"of {name}": dense(part) for name, part in self.extra.items()}}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> OptionCosts:
        """The inverse of `tensors`."""
        extra = {name[3:]: part for name, part in tensors.items() if name.startswith("of ")}
        return cls(tensors["base"].item(), extra)


def option_costs(supernet: Supernet, measure: Measure) -> OptionCosts:
    """One network for each option of each row is measured."""
    plain = base_mix(supernet)
    base = supernet.derive(plain)
    known = {base: measure(base)}
    taken = {name: (mix != 0).any(dim=1).tolist() for name, mix in supernet.mix_of(base).items()}
    extra = {}
    for name, group in supernet.groups.items():
        costs = torch.zeros(len(group.rows), len(group.options), dtype=torch.double)
        for row, into in enumerate(group.into):
            rivals = [place for place, other in enumerate(group.into) if other == into]
            share = sum(taken[name][place] for place in rivals) / len(rivals)
            for column in range(len(group.options)):
                mix = {key: part.clone() for key, part in plain.items()}
                mix[name][row] = 0
                mix[name][row, column] = 2.0  # outweighs the rows that it competes with
                derived = supernet.derive(mix)
                if derived not in known:
                    known[derived] = measure(derived)
                costs[row, column] = share * (known[derived] - known[base])
        extra[name] = costs
    return OptionCosts(known[base], extra)


def base_mix(supernet: Supernet) -> dict[str, Tensor]:
    """Skips everywhere, so that everything is reached; the first option where none skips."""
    plain = {}
    for name, group in supernet.groups.items():
        column = group.options.index(group.skips[0]) if group.skips else 0
        mix = torch.zeros(len(group.rows), len(group.options))
        mix[:, column] = 1.0
        plain[name] = mix
    return plain
