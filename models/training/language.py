"""Scores of a language model: the next token at every position."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.metrics import Goal, scores


@scores.register("language_modeling")
class LanguageScore:
    """Cross-entropy in nats a token, and perplexity, its exponential.

    Bits a token, or a character where tokens are characters, are the loss over ln 2.

    Shapes:
        outputs: (N, length, vocabulary) logits; targets: (N, length) int64
    """

    chosen: Mapping[str, float] = MappingProxyType({})
    ignores: ClassVar[frozenset[str]] = frozenset()
    goals: ClassVar[dict[str, Goal]] = {"perplexity": "minimize", "loss": "minimize"}

    def __init__(self, outputs: int, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._count = 0

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """The mean over samples and positions."""
        return F.cross_entropy(
            outputs.flatten(0, 1), targets.flatten(), label_smoothing=label_smoothing
        )

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        losses = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        self._loss += losses.sum(dtype=torch.float64)
        self._count += targets.numel()

    def compute(self) -> dict[str, float]:
        loss = self._loss.item() / self._count
        perplexity = math.exp(loss) if loss < 700 else math.inf  # a double ends at exp(709)
        return {"perplexity": perplexity, "loss": loss}
