"""Weight sharing for transformers: the token mixer of each layer is a mixture, and so are the
activation and the width of the feed-forward parts, which all layers have in common.

The mixture is that of DARTS, Liu et al., ICLR 2019, https://arxiv.org/abs/1806.09055. Feed-forward
parts of several widths share units, the first ones, as in Cai et al., ICLR 2020,
https://arxiv.org/abs/1908.09791, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial as applied

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architecture import Architecture, Decision
from models.decisions import domain_values
from models.domains import Scalar, as_domain
from models.families.transformer import Network, Transformer, TransformerSettings
from models.family import FamilySettings, families
from models.operations.activation import ACTIVATIONS
from models.recipe import Recipe
from models.supernets import Group, Mix, Supernet, supernets
from models.supernets.activity import active, placed, rows_of
from models.supernets.fixed import check_fixed, check_whole, one_value_each
from models.task import Task

MIXER, ACTIVATION, FEED_FORWARD = "mixer", "activation", "feed_forward"
ALWAYS_FIXED = ("layers", "width", "norm", "positions", "dropout")


@supernets.register("transformer")
class TransformerRelaxation:
    """All but mixers and their kernels, activation and feed-forward width is one value each."""

    @classmethod
    def check(cls, settings: FamilySettings, *, partial: int = 1, task: Task | None = None) -> None:
        check_whole(partial, "transformer")
        if not isinstance(settings, TransformerSettings):
            raise TypeError(f"transformer needs TransformerSettings, got {type(settings).__name__}")
        fixed = cls._fixed(settings, task)
        if task is not None:
            with torch.device("meta"):  # heads that do not divide the width, and their like
                TransformerSupernet(settings, fixed, task)

    @classmethod
    def build(cls, settings: FamilySettings, task: Task, *, partial: int = 1) -> Supernet:
        check_whole(partial, "transformer")
        if not isinstance(settings, TransformerSettings):
            raise TypeError(f"transformer needs TransformerSettings, got {type(settings).__name__}")
        return TransformerSupernet(settings, cls._fixed(settings, task), task)

    @staticmethod
    def _fixed(settings: TransformerSettings, task: Task | None) -> dict[str, Scalar]:
        if task is None:
            decisions = [Decision(n, as_domain(getattr(settings, n))) for n in ALWAYS_FIXED]
        else:
            decisions = [
                decision
                for decision in Transformer.decisions(settings, task)
                if decision.name not in (ACTIVATION, FEED_FORWARD)
                and not decision.name.startswith("layer_")
            ]
        return one_value_each(decisions)


class Mixture(nn.Module):
    """A block that mixes its token mixers, and the units and activations of its feed-forward part.

    Shapes:
        x: (N, length, width), mixers: (1, options), activations and inners: the same of theirs
        -> (N, length, width)
    """

    def __init__(
        self,
        mixers: Mapping[str, nn.Module],
        width: int,
        inners: Sequence[int],
        activations: Sequence[type[nn.Module]],
        pre_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.inners, self.pre_norm = tuple(inners), pre_norm
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixers = nn.ModuleDict(mixers)
        self.activations = [activation() for activation in activations]
        self.widen, self.narrow = nn.Linear(width, max(inners)), nn.Linear(max(inners), width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, mixers: Tensor, activations: Tensor, inners: Tensor
    ) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self._mixed(self.norm_1(x), mask, mixers))
            x = x + self.dropout(self._fed(self.norm_2(x), activations, inners))
        else:
            x = self.norm_1(x + self.dropout(self._mixed(x, mask, mixers)))
            x = self.norm_2(x + self.dropout(self._fed(x, activations, inners)))
        return x

    def _mixed(self, x: Tensor, mask: Tensor | None, weights: Tensor) -> Tensor:
        mixers = list(self.mixers.values())
        parts = ((weight, mixers[option](x, mask)) for option, weight in _active(weights))
        return _weighted(parts, x)

    def _fed(self, x: Tensor, activations: Tensor, inners: Tensor) -> Tensor:
        """A unit counts as much as all the widths that have it."""
        chosen = list(_active(inners))
        if not chosen:
            return torch.zeros_like(x)
        widest = max(self.inners[option] for option, _ in chosen)
        units = x.new_zeros(widest)
        for option, weight in chosen:
            inner = self.inners[option]
            units = units + functional.pad(weight.expand(inner), (0, widest - inner))
        before = functional.linear(x, self.widen.weight[:widest], self.widen.bias[:widest])
        parts = (
            (weight, self.activations[option](before)) for option, weight in _active(activations)
        )
        after = _weighted(parts, before)
        bias = self.narrow.bias * units[0]  # every width has the first unit
        return functional.linear(after, self.narrow.weight[:, :widest] * units, bias)

    def state_of(self, mixer: str, inner: int) -> Iterator[tuple[str, Tensor]]:
        """Weights of a plain block, by their names in it."""
        for norm in ("norm_1", "norm_2"):
            for name, value in self.get_submodule(norm).state_dict().items():
                yield f"{norm}.{name}", value
        for name, value in self.mixers[mixer].state_dict().items():
            yield f"mixer.{name}", value
        yield "feed_forward.0.weight", self.widen.weight[:inner]
        yield "feed_forward.0.bias", self.widen.bias[:inner]
        yield "feed_forward.2.weight", self.narrow.weight[:, :inner]
        yield "feed_forward.2.bias", self.narrow.bias


class TransformerSupernet(Supernet):
    """A plain network without blocks, and mixtures in their place."""

    def __init__(
        self, settings: TransformerSettings, fixed: Mapping[str, Scalar], task: Task
    ) -> None:
        super().__init__()
        self.fixed, self.task, self.options = fixed, task, _options(settings)
        self.activations = tuple(map(str, as_domain(settings.activation).values()))
        self.ratios = domain_values(settings.feed_forward)
        layers = range(int(fixed["layers"]))
        self.groups = {
            MIXER: Group(tuple(map(_layer, layers)), tuple(self.options), tuple(layers)),
            ACTIVATION: Group(("all",), self.activations, (0,)),
            FEED_FORWARD: Group(("all",), tuple(map(str, self.ratios)), (0,)),
        }
        plain = {name: self._plain([name] * len(layers)) for name in self.options}
        self.frame = next(iter(plain.values()))
        plan, names = self.frame.plan, self.frame.blocks
        mixers = [
            {option: getattr(network, name).mixer for option, network in plain.items()}
            for name in names
        ]
        for name in names:
            delattr(self.frame, name)
        self.frame.blocks = []
        self.blocks = nn.ModuleList(
            Mixture(
                mixers[layer],
                plan.width,
                [plan.width * ratio for ratio in self.ratios],
                [ACTIVATIONS[name] for name in self.activations],
                plan.pre_norm,
                plan.dropout,
            )
            for layer in layers
        )

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        view, outputs = self.frame.plan.view, applied(self._outputs, mix=mix)
        return outputs(x) if view is None else view(x, outputs)

    def _outputs(self, x: Tensor, mix: Mix) -> Tensor:
        tokens, mask = self.frame.embedded(x)
        shared = rows_of(mix[ACTIVATION])[0], rows_of(mix[FEED_FORWARD])[0]
        for block, mixers in zip(self.blocks, rows_of(mix[MIXER]), strict=True):
            tokens = self.part(block, tokens, mask, mixers, *shared)
        return self.frame.read(tokens, mask)

    def derive(self, mix: Mix) -> Architecture:
        """The largest weight of each row."""
        best = {name: weights.argmax(dim=1).tolist() for name, weights in mix.items()}
        names = list(self.options)
        return self._architecture(
            [names[option] for option in best[MIXER]],
            self.activations[best[ACTIVATION][0]],
            self.ratios[best[FEED_FORWARD][0]],
        )

    def mix_of(self, architecture: Architecture) -> dict[str, Tensor]:
        check_fixed(architecture, self.fixed)
        chosen = {
            MIXER: self._mixers_of(architecture),
            ACTIVATION: [str(architecture.decisions[ACTIVATION])],
            FEED_FORWARD: [str(architecture.decisions[FEED_FORWARD])],
        }
        mixes = {}
        for name, group in self.groups.items():
            mix = torch.zeros(len(group.rows), len(group.options))
            for row, option in enumerate(chosen[name]):
                mix[row, group.options.index(option)] = 1
            mixes[name] = placed(mix, next(self.parameters()))
        return mixes

    def weights_of(self, architecture: Architecture) -> dict[str, Tensor]:
        self.mix_of(architecture)  # refuses what is no subnet
        inner = self.frame.plan.width * int(architecture.decisions[FEED_FORWARD])
        weights = dict(self.frame.state_dict())
        mixers = self._mixers_of(architecture)
        for number, (block, mixer) in enumerate(zip(self.blocks, mixers, strict=True), 1):
            assert isinstance(block, Mixture)  # noqa: S101 - for the type checker
            for name, weight in block.state_of(mixer, inner):
                weights[f"block_{number}.{name}"] = weight
        return {name: weight.detach().clone() for name, weight in weights.items()}

    def _mixers_of(self, architecture: Architecture) -> list[str]:
        """The option of each layer."""
        values = architecture.decisions
        layers = map(_layer, range(len(self.groups[MIXER].rows)))
        return [
            _option(str(values[f"{layer}_mixer"]), values.get(f"{layer}_kernel"))
            for layer in layers
        ]

    def _architecture(self, mixers: Sequence[str], activation: str, ratio: int) -> Architecture:
        values = {**self.fixed, ACTIVATION: activation, FEED_FORWARD: ratio}
        for number, name in enumerate(mixers):
            mixer, kernel = self.options[name]
            values[f"{_layer(number)}_mixer"] = mixer
            if kernel is not None:
                values[f"{_layer(number)}_kernel"] = kernel
        return Architecture("transformer", values)

    def _plain(self, mixers: Sequence[str]) -> Network:
        architecture = self._architecture(mixers, self.activations[0], self.ratios[0])
        network = families["transformer"].build(architecture, self.task, Recipe())
        assert isinstance(network, Network)  # noqa: S101 - for the type checker
        return network


def _options(settings: TransformerSettings) -> dict[str, tuple[str, Scalar | None]]:
    """Mixer and kernel of each option of a layer."""
    kernels = as_domain(settings.kernel).values()
    return {
        _option(str(mixer), kernel): (str(mixer), kernel)
        for mixer in as_domain(settings.mixer).values()
        for kernel in ([None] if mixer == "attention" else kernels)
    }


def _option(mixer: str, kernel: Scalar | None) -> str:
    return mixer if kernel is None else f"{mixer}_{kernel}"


def _layer(number: int) -> str:
    """Its name in the decisions, which count from 1."""
    return f"layer_{number + 1}"


def _active(weights: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(option, weight) where the weight is not zero."""
    (is_active,) = active(weights)
    for option, weight in enumerate(weights[0]):
        if is_active[option]:
            yield option, weight


def _weighted(parts: Iterable[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
    """The sum of (weight, part); zero where there is none."""
    total: Tensor | None = None
    for weight, part in parts:
        total = weight * part if total is None else torch.addcmul(total, weight, part)
    return torch.zeros_like(like) if total is None else total
