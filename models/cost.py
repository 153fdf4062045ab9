"""What a network costs, known before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from models.architecture import Architecture
from models.family import families
from models.meta import unroll_at_once
from models.recipe import Recipe
from models.repeated import count_parameters, each_once
from models.task import Task


def _bag_flops(dense: Any, index: Any, *_: Any, **__: Any) -> int:
    """A product with a sparse matrix (`models.graph.Product`) has a multiply-add a value."""
    return int(2 * index.numel() * dense.shape[1])


_FORMULAS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._embedding_bag: _bag_flops,
    torch.ops.aten._embedding_bag_forward_only: _bag_flops,
}
SHAPE_PRESERVING = (_BatchNorm, nn.LayerNorm, nn.ReLU, nn.Dropout)


def cost(architecture: Architecture, task: Task, recipe: Recipe) -> dict[str, float]:
    """`parameters`, and `flops` of a forward pass of one sample.

    A multiply-add counts two; convolutions and matrix products count, the rest does not
    (`torch.utils.flop_counter`). Nothing is computed: the network lives on the meta device. The
    first call in a process takes a second or two, in which torch imports its meta kernels.

    Raises:
        models.family.InfeasibleError: no network can be built from `architecture`.
    """
    return dict(_cost(architecture, task.read_as(recipe.tokens), recipe.batch_norm))


def import_meta_kernels() -> None:
    """What the first `cost` of a process takes a second or two for, in advance."""
    with torch.device("meta"):
        pixels = torch.empty(2, 1, 3, 3)
        nn.BatchNorm2d(1)(nn.Conv2d(1, 1, 1)(pixels))  # these two import all of them


@lru_cache(maxsize=16_384)
def _cost(architecture: Architecture, task: Task, batch_norm: bool) -> dict[str, float]:
    """Of the rest of the recipe, only batch normalisation changes parameters or FLOPs."""
    recipe = Recipe(batch_norm=batch_norm)
    with torch.device("meta"), each_once() as made:
        network = families[architecture.family].build(architecture, task, recipe)
        sample = task.zeros(1, "meta")
    parts = list(made.values())
    parameters = count_parameters(network, frozenset(map(id, parts)))
    for module in network.modules():
        if isinstance(module, SHAPE_PRESERVING):  # no FLOPs, but up to 1 ms on the meta device
            setattr(module, "forward", _unchanged)  # noqa: B010 - an instance, not the class
    unroll_at_once(network)
    with torch.no_grad(), _FlopCounter() as counter:
        for part in parts:
            _count_once(part, counter)
        network(sample)
    return {"parameters": float(parameters), "flops": float(counter.flops)}


def operation_flops(
    function: Any, args: tuple[Any, ...], named: Mapping[str, Any], output: Any
) -> int:
    """Of one call of an overload of torch; 0 where it does not count."""
    formula = _FORMULAS.get(function._overloadpacket)
    return 0 if formula is None else int(formula(*args, **named, out_val=output))


class _FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """The formulas of torch's `FlopCounterMode` without its table by module: half the time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.flops = 0

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        output = function(*args, **named)
        self.flops += operation_flops(function, args, named, output)
        return output


def _unchanged(x: Tensor) -> Tensor:
    return x


def _count_once(part: nn.Module, counter: _FlopCounter) -> None:
    """What it takes and gives is known from the first input of a shape on: a block of a transformer
    takes 7 ms on the meta device, a cell 15, and a network may have 64.
    """
    run: Callable[..., Tensor] = part.forward
    known: dict[Any, tuple[int, torch.Size]] = {}

    def forward(*given: Any) -> Tensor:
        inputs = tree_leaves(given)
        shapes = tuple(getattr(leaf, "shape", None) for leaf in inputs)
        if shapes in known:
            flops, shape = known[shapes]
            counter.flops += flops
            return torch.empty(shape, device="meta")
        before = counter.flops
        output = run(*given)
        known[shapes] = counter.flops - before, output.shape
        return output

    setattr(part, "forward", forward)  # noqa: B010 - an instance, not the class
