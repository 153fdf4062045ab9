"""Which options of a mix are not zero, known to who walks through a supernet on the processor.

A mix lies on the device of its supernet, and to read it there is to wait for all that was begun
before. Whoever makes a mix knows what it chose, and notes it; what nobody noted is read once.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Rows = Sequence[Sequence[bool]]
"""Of each row of a mix, whether each option has a weight."""

_noted: MutableMapping[Tensor, tuple[int, Rows]] = WeakTensorKeyDictionary()


def active(mix: Tensor) -> Rows:
    """Which weights are not zero.

    Shapes:
        mix: (rows, options)
    """
    version, rows = _noted.get(mix, (-1, ()))
    if version != mix._version:
        rows = (mix.detach() != 0).tolist()
        note(mix, rows)
    return rows


def note(mix: Tensor, rows: Rows) -> Tensor:
    """`mix`, of which `rows` are known to be active: where one is true, the weight may be zero all
    the same, and is computed with.
    """
    _noted[mix] = (mix._version, rows)
    return mix


def relaxed(mix: Tensor) -> Tensor:
    """`mix`, a smooth function of parameters, in which every option is active."""
    return note(mix, [[True] * mix.shape[1]] * mix.shape[0])


def rows_of(mix: Tensor) -> list[Tensor]:
    """Each row of a mix as one of its own.

    Shapes:
        (rows, options) -> (1, options) each
    """
    known = active(mix)
    return [note(part, [row]) for part, row in zip(mix.unsqueeze(1).unbind(), known, strict=True)]


def placed(mix: Tensor, like: Tensor) -> Tensor:
    """A mix that was made on the processor, with the type of `like` and where it lies; who asks
    for it there does not wait.
    """
    rows = (mix != 0).tolist()
    return note(mix.to(like.device, like.dtype, non_blocking=True), rows)


@lru_cache(maxsize=4096)
def index_of(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Places as an index on a device, brought there once: a list in its stead would be brought
    there, and waited for, each time.
    """
    with torch.inference_mode(False):
        return torch.tensor(places, device=device)
