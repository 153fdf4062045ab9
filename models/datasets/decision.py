"""From what a network says to a class or labels, and to how sure that is; also in a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def decided(outputs: torch.Tensor, offsets: Sequence[float]) -> torch.Tensor:
    """The class of the largest output, each moved by its class's offset.

    Shapes:
        (N, classes) -> (N,) int64
    """
    moved = outputs.to(torch.float64)
    return (moved + torch.tensor(offsets, dtype=torch.float64, device=outputs.device)).argmax(dim=1)


def labels_said(outputs: torch.Tensor, offsets: Sequence[float]) -> torch.Tensor:
    """Which labels a sample has: those whose output, moved by the label's offset, is 0 or more.

    Shapes:
        (N, labels) -> the same, bool
    """
    moved = outputs.to(torch.float64)
    return moved + torch.tensor(offsets, dtype=torch.float64, device=outputs.device) >= 0


def label_probabilities(outputs: torch.Tensor, decision: Mapping[str, Any]) -> torch.Tensor:
    """Of each label, with the temperature of `decision`, that of the preprocessing; one of before
    has none.

    Shapes:
        (N, labels) -> the same, float64
    """
    temperature: float = decision.get("temperature", 1.0)
    return (outputs.to(torch.float64) / temperature).sigmoid()


def probabilities(outputs: torch.Tensor, decision: Mapping[str, Any]) -> torch.Tensor:
    """Of each class, with the temperature of `decision`, that of the preprocessing: Guo et al.,
    ICML 2017, section 4.2.

    Shapes:
        (N, classes) -> the same, float64
    """
    temperature: float = decision["temperature"]
    return (outputs.to(torch.float64) / temperature).softmax(dim=1)
