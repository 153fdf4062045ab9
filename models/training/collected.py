"""What a score is worked out from where it needs all samples at once."""

from __future__ import annotations

import torch
from torch import Tensor


class Collected:
    """What a network said of every sample that was added, and what is true of it, in order.

    Shapes:
        outputs: (N, outputs); targets: (N, ...)
    """

    def __init__(self) -> None:
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    def _add(self, outputs: Tensor, targets: Tensor) -> None:
        self._outputs.append(outputs.detach())
        self._targets.append(targets)

    @property
    def outputs(self) -> Tensor:
        return torch.cat(self._outputs)

    @property
    def targets(self) -> Tensor:
        return torch.cat(self._targets)
