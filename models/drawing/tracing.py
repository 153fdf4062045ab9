"""What a network computes, step by step, seen while it runs on the meta device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.cost import operation_flops
from models.drawing.graph import Edge
from models.drawing.names import TENSOR_OPERATIONS, is_container, is_invisible, operation_name
from models.graph import Features, Graph

INPUT = "(input)"
OUTPUT = "(output)"


@dataclass(slots=True)
class Step:
    """A module that ran, or an operation on tensors outside of every module that is drawn; the
    input and the output, too. `arguments`: of the module's call.
    """

    id: str
    module: nn.Module | None = None
    operation: str = ""
    shape: tuple[int, ...] = ()
    flops: int = 0
    arguments: tuple[tuple[Any, ...], Mapping[str, Any]] = field(default=((), {}))


def traced(
    network: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[list[Step], list[Edge]]:
    """The steps of one call in their order, and which of them reads which.

    A step is a direct child of the network that changes values, or a child of a container.
    """
    tracer = _Tracer(arguments, named)
    with ExitStack() as hooks:
        for name, module in _units(network):
            before = module.register_forward_pre_hook(
                partial(tracer.begin, name), with_kwargs=True, prepend=True
            )
            after = module.register_forward_hook(tracer.end)
            hooks.callback(before.remove)
            hooks.callback(after.remove)
        with tracer:
            output = network(*arguments, **named)
    tracer.finish(output)
    return tracer.steps, tracer.edges


def _units(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if is_container(child):
            yield from _units(child, f"{prefix}{name}.")
        elif not is_invisible(child):
            yield f"{prefix}{name}", child


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Knows of each tensor the step that it comes from: masks, links and weights come from none."""

    def __init__(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.steps = [Step(INPUT)]
        self.edges: list[Edge] = []
        self._origins: dict[int, tuple[Tensor, str]] = {}  # with the tensor, so that its id stays
        self._within: Step | None = None
        self._depth = 0
        first = next(tensors_in((arguments, named), with_graph=True), None)
        if first is not None:
            self.steps[0].shape = tuple(first.shape[1:])
            self._origins[id(first)] = (first, INPUT)

    def begin(self, name: str, module: nn.Module, args: tuple[Any, ...], named: Any) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        self._within = self._add(name, self._from(tensors_in((args, named))))
        self._within.module, self._within.arguments = module, (args, named)

    def end(self, module: nn.Module, args: Any, output: Any) -> None:
        self._depth -= 1
        if self._depth or self._within is None:
            return
        for tensor in tensors_in(output):
            self._within.shape = self._within.shape or tuple(tensor.shape[1:])
            self._origins[id(tensor)] = (tensor, self._within.id)
        self._within = None

    def finish(self, output: Any) -> None:
        tensors = [*tensors_in(output)]
        step = self._add(OUTPUT, self._from(tensors))
        step.shape = tuple(tensors[0].shape[1:]) if tensors else ()

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        output = function(*args, **named)
        flops = operation_flops(function, args, named, output)
        if self._within is not None:
            self._within.flops += flops
            return output
        origins = self._from(tensors_in((args, named)))
        name = operation_name(function)
        made = [*tensors_in(output)]
        if made and (len(origins) > 1 or flops or (origins and name in TENSOR_OPERATIONS)):
            step = self._add(name, origins)
            step.operation, step.flops, step.shape = name, flops, tuple(made[0].shape[1:])
            origins = [step.id]
        if origins:
            self._origins |= {
                id(tensor): (tensor, origins[0]) for tensor in made if tensor.dtype != torch.bool
            }
        return output

    def _from(self, tensors: Iterator[Tensor] | Sequence[Tensor]) -> list[str]:
        """The steps that they come from, each once."""
        known = (self._origins.get(id(tensor)) for tensor in tensors)
        return list(dict.fromkeys(found[1] for found in known if found is not None))

    def _add(self, name: str, origins: Sequence[str]) -> Step:
        known = {step.id for step in self.steps}
        number, unique = 1, name
        while unique in known:
            number += 1
            unique = f"{name} {number}"
        self.steps.append(step := Step(unique))
        self.edges += [Edge(origin, unique) for origin in origins]
        return step


def tensors_in(value: Any, with_graph: bool = False) -> Iterator[Tensor]:
    """In their order, those of a graph where it is the input alone: all steps have its links."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Features):
        yield value.values
    elif isinstance(value, Graph):
        if with_graph:
            yield from tensors_in(value.x)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part, with_graph)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part, with_graph)
