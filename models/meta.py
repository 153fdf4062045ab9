"""Running a network on the meta device, where only shapes count, as cheaply as it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from models.operations.recurrent import DartsCell


def unroll_at_once(network: nn.Module) -> None:
    """Let recurrent layers compute all steps in one, in place, on these instances alone.

    The matrix products have the same FLOPs as step by step, and autograd keeps what it must at
    least: inputs, gates and states. Step by step, a layer of 100 steps takes a second on the meta
    device.
    """
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            setattr(module, "forward", partial(_layers_at_once, module))  # noqa: B010
        elif isinstance(module, DartsCell):
            setattr(module, "forward", partial(_cell_at_once, module))  # noqa: B010


def _layers_at_once(module: nn.RNNBase, x: Tensor) -> tuple[Tensor, None]:
    for layer in range(module.num_layers):
        states = []
        for direction in ("", "_reverse")[: 1 + module.bidirectional]:
            inner, outer, *biases = (
                getattr(module, f"{name}_l{layer}{direction}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            before = x.new_zeros(*x.shape[:2], module.hidden_size)
            drive = functional.linear(x, inner, biases[0]) + functional.linear(
                before, outer, biases[1]
            )
            states.append(drive.sigmoid()[..., : module.hidden_size].tanh())
        x = torch.cat(states, dim=-1)
    return x, None


def _cell_at_once(cell: DartsCell, x: Tensor) -> Tensor:
    return cell.next(cell.input(x), x.new_zeros(*x.shape[:2], cell.hidden))


class FusedAttention(TorchFunctionMode):
    """Attention as the fused kernels of CPU and GPU do it: without the matrix of steps by steps,
    which the meta device would hold.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if function is functional.scaled_dot_product_attention:
            return _fused(*args, **named)
        return function(*args, **named)


class BesideMeta(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Tensors with values may stand beside those on the meta device: a mix whose zeros matter, in a
    network of which only the shapes do.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the same

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, named)) if isinstance(leaf, Tensor)]
        if any(tensor.is_meta for tensor in tensors):
            args, named = tree_map(_on_meta, (args, named))
        return function(*args, **named)


def _on_meta(leaf: Any) -> Any:
    return leaf.to("meta") if isinstance(leaf, Tensor) else leaf


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    mixed: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, dropout_p, is_causal, attn_mask=attn_mask
    )[0]
    return mixed
