"""Several copies of one operation, each with its own weights, on one input: computed together.

The numbers are those of the copies, one after another. One convolution in groups takes the place
of many small ones, and batch normalisation acts on the joined channels. Its scale is the weight
that the mix gives to a copy: normalisation in a supernet has no scale nor shift of its own, as in
DARTS (https://arxiv.org/abs/1806.09055), where they would undo the mix.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.operations.identity import FactorizedReduce
from models.supernets.activity import index_of
from models.supernets.depthwise import depthwise, is_depthwise, sampled, whole
from models.supernets.inputs import Input

Layer = tuple[str, nn.Module]
"""Its name in the module that it is a part of, and it."""


def without_affine(module: nn.Module) -> nn.Module:
    """`module` with no scale and shift in its normalisation."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.affine = False
            part.register_parameter("weight", None)
            part.register_parameter("bias", None)
    return module


def join(copies: Sequence[nn.Module]) -> Joined:
    """The copies as one module, by what they are made of."""
    reductions = [copy for copy in copies if isinstance(copy, FactorizedReduce)]
    if len(reductions) == len(copies):
        return Reductions(reductions)
    layers = _layers(copies[0])
    if all(isinstance(layer, nn.ReLU | nn.Conv2d | nn.BatchNorm2d) for _, layer in layers):
        return Convolutions(copies)
    return Separate(copies)


class Joined(nn.Module):
    """Copies of one operation.

    Shapes:
        seen: (N, C, H, W), scale: one number a copy in `rows`
        -> (N, len(rows) * C, H', W'), copy after copy
    """

    @abstractmethod
    def forward(self, seen: Input, scale: Tensor, rows: Sequence[int]) -> Tensor: ...

    @abstractmethod
    def state_of(self, row: int) -> dict[str, Tensor]:
        """Weights and statistics of one copy, by their names in it."""


class Separate(Joined):
    """Copies that are computed one after another."""

    def __init__(self, copies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.copies = nn.ModuleList(without_affine(copy) for copy in copies)

    def forward(self, seen: Input, scale: Tensor, rows: Sequence[int]) -> Tensor:
        return torch.cat(
            [self.copies[row](seen.x) * part for row, part in zip(rows, scale, strict=True)], dim=1
        )

    def state_of(self, row: int) -> dict[str, Tensor]:
        return dict(self.copies[row].state_dict())


class Stacked(Joined):
    """Copies whose weights and statistics lie in one tensor each, a row a copy."""

    def __init__(self, copies: Sequence[nn.Module], layers: Sequence[Sequence[Layer]]) -> None:
        """`layers` of each copy: those that have weights or statistics, with their names."""
        super().__init__()
        self._count = len(copies)
        self._layers = [layer for _, layer in layers[0]]
        self._names: dict[str, str] = {}
        for position, (name, layer) in enumerate(layers[0]):
            for part in _kept(layer):
                own = f"{part}_{position}"
                stacked = torch.stack([getattr(chain[position][1], part) for chain in layers])
                if isinstance(layer, nn.Conv2d):
                    self.register_parameter(own, nn.Parameter(stacked.detach()))
                else:
                    self.register_buffer(own, stacked)
                self._names[f"{name}.{part}"] = own

    def state_of(self, row: int) -> dict[str, Tensor]:
        return {name: getattr(self, own)[row] for name, own in self._names.items()}

    def _part(self, name: str, position: int, rows: Sequence[int]) -> Tensor:
        whole: Tensor = getattr(self, f"{name}_{position}")
        return whole if len(rows) == self._count else whole[index_of(tuple(rows), whole.device)]

    def _normalised(
        self,
        x: Tensor,
        position: int,
        rows: Sequence[int],
        scale: Tensor | None,
    ) -> Tensor:
        """By the statistics of each copy; `x` has the channels of all `rows`."""
        layer = self._layers[position]
        assert isinstance(layer, nn.BatchNorm2d)  # noqa: S101 - for the type checker
        whole = [getattr(self, f"{name}_{position}") for name in ("running_mean", "running_var")]
        is_whole = len(rows) == self._count
        index = index_of(tuple(rows), x.device)
        chosen = [(s if is_whole else s[index]).flatten() for s in whole]
        # A scale that is not contiguous gives wrong input gradients in torch 2.13, channels last.
        weight = None if scale is None else scale.repeat_interleave(layer.num_features).contiguous()
        momentum = layer.momentum if layer.momentum is not None else 0.1
        mean, variance = chosen
        x = functional.batch_norm(
            x, mean, variance, weight, None, self.training, momentum, layer.eps
        )
        if self.training and not is_whole:  # else they have been changed in place
            for statistic, part in zip(whole, chosen, strict=True):
                statistic[index] = part.view(len(rows), -1)
        return x


class Reductions(Stacked):
    """Copies of a skip connection of stride 2: two pointwise convolutions for all of them."""

    def __init__(self, copies: Sequence[FactorizedReduce]) -> None:
        super().__init__(copies, [list(copy.named_children()) for copy in copies])

    def forward(self, seen: Input, scale: Tensor, rows: Sequence[int]) -> Tensor:
        x = seen.rectified
        height, width = (size % 2 for size in x.shape[2:])  # odd sides keep their last pixel
        halves = (sampled(x, 0, 2), functional.pad(sampled(x, 1, 2), (0, width, 0, height)))
        joined = []
        for position, half in enumerate(halves):
            weight = self._part("weight", position, rows).flatten(0, 1)
            y = functional.conv2d(half, weight).permute(0, 2, 3, 1)
            joined.append(y.reshape(*y.shape[:3], len(rows), -1))
        together = torch.cat(joined, dim=4).flatten(3).permute(0, 3, 1, 2)
        return self._normalised(together, 2, rows, scale)


class Convolutions(Stacked):
    """Copies of a chain of ReLU, convolution and batch normalisation."""

    def __init__(self, copies: Sequence[nn.Module]) -> None:
        chains = [_layers(copy) for copy in copies]
        super().__init__(copies, chains)
        self._begins_with_relu = isinstance(self._layers[0], nn.ReLU)

    def forward(self, seen: Input, scale: Tensor, rows: Sequence[int]) -> Tensor:
        position, copies = int(self._begins_with_relu), 1  # copies: in the channels of x
        x = seen.rectified if self._begins_with_relu else seen.x
        if self._begins_with_relu and is_depthwise(self._layers[position]):
            x = self._depthwise(seen, position, rows)
            position, copies = position + 1, len(rows)
        while position < len(self._layers):
            layer = self._layers[position]
            if isinstance(layer, nn.ReLU):
                x = functional.relu(x)
            elif isinstance(layer, nn.Conv2d):
                if copies < len(rows) and layer.groups > 1:
                    x, copies = torch.cat([x] * len(rows), dim=1), len(rows)
                weight = self._part("weight", position, rows).flatten(0, 1)
                if is_depthwise(layer) and layer.dilation == (1, 1):
                    x = depthwise(x, weight, layer.stride[0])
                else:
                    x = functional.conv2d(
                        x,
                        weight,
                        None
                        if layer.bias is None
                        else self._part("bias", position, rows).flatten(),
                        layer.stride,
                        layer.padding,
                        layer.dilation,
                        layer.groups * copies,
                    )
                copies = len(rows)
            elif isinstance(layer, nn.BatchNorm2d):
                is_last = position == len(self._layers) - 1
                x = self._normalised(x, position, rows, scale if is_last else None)
                if is_last:
                    return x
            position += 1
        return x * scale.repeat_interleave(x.shape[1] // len(rows)).view(1, -1, 1, 1)

    def _depthwise(self, seen: Input, position: int, rows: Sequence[int]) -> Tensor:
        """The first convolution of all copies."""
        layer = self._layers[position]
        assert isinstance(layer, nn.Conv2d)  # noqa: S101 - for the type checker
        weight = self._part("weight", position, rows).flatten(0, 1)
        dilation, stride = layer.dilation[0], layer.stride[0]
        x = seen.copies(len(rows), dilation, stride)
        if dilation == 1:
            return depthwise(x, weight, stride)
        y = depthwise(x, weight)
        return y if stride == dilation else whole(y, dilation, seen.x.shape[2:])


def _kept(layer: nn.Module) -> tuple[str, ...]:
    """The tensors of a layer that each copy has for itself."""
    if isinstance(layer, nn.Conv2d):
        return ("weight",) if layer.bias is None else ("weight", "bias")
    return ("running_mean", "running_var") if isinstance(layer, nn.BatchNorm2d) else ()


def _layers(module: nn.Module, prefix: str = "") -> list[Layer]:
    """The modules of nested sequences in order, by name; another module stands for itself."""
    if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
        return [(prefix, module)]
    return [
        found
        for name, child in module.named_children()
        for found in _layers(child, f"{prefix}.{name}" if prefix else name)
    ]
