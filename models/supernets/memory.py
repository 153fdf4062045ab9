"""Memory of a supernet's training, known before it starts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from models.memory import Kept, storages
from models.meta import BesideMeta, FusedAttention, unroll_at_once
from models.supernets import Mix, Supernet
from models.task import Task

COPIES = 3
"""Of the weights: they, their gradients and their momentum."""


def step_bytes(
    supernet: Supernet, task: Task, mix: Mix, batch_size: int, *, halved: bool = False
) -> int:
    """The least that a step on `mix` must hold at a time: the copies of the weights, and what
    autograd keeps of one batch. Of parts that are computed again that is what goes into each, and
    the inside of the largest. `halved`: values of two bytes.

    `supernet` lies on the meta device and is changed; `mix` has its values, so that options of
    weight zero are left out.
    """
    batch = task.zeros(batch_size, "meta")
    supernet.train()
    unroll_at_once(supernet)
    weights = storages(supernet.parameters())
    around = Kept()
    parts = _Parts(around)
    if supernet.recomputes:
        setattr(supernet, "part", parts.count)  # noqa: B010 - an instance, not the class
    with FusedAttention(), BesideMeta(), around:
        output = supernet(batch, mix)
    kept = around.bytes(without=weights) + parts.largest(without=weights)
    del output
    return sum(weights.values()) * COPIES + (kept // 2 if halved else kept)


class _Parts:
    """Takes the place of `Supernet.part`: `around` is told what goes into a part."""

    def __init__(self, around: Kept) -> None:
        self._around, self._insides = around, list[tuple[Kept, Collection[int]]]()

    def count(self, module: nn.Module, *inputs: Any) -> Any:
        given = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
        self._around.add(given)
        inside = Kept()
        with inside:
            output = module(*inputs)
        self._insides.append((inside, storages(given)))
        return output

    def largest(self, without: Collection[int]) -> int:
        sizes = (inside.bytes({*without, *given}) for inside, given in self._insides)
        return max(sizes, default=0)
