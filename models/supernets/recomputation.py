"""Parts of a supernet whose inner values are computed again in the backward pass, not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(part: nn.Module, *inputs: Any) -> Any:
    """`part(*inputs)`, of which autograd keeps the inputs alone (Chen et al. 2016,
    https://arxiv.org/abs/1604.06174). Outputs, gradients and statistics are the same.
    """
    return checkpoint(part, *inputs, use_reentrant=False, context_fn=partial(_contexts, part))


def _contexts(part: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _statistics_kept(part)


@contextmanager
def _statistics_kept(part: nn.Module) -> Iterator[None]:
    """The second pass over a batch must not move the running statistics again."""
    before = [buffer.clone() for buffer in part.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(part.buffers(), before, strict=True):
            # By `data`: autograd counts no change, as none is left.
            buffer.data.copy_(value)
