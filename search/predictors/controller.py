"""A policy over the candidates of a space: an autoregressive LSTM controller, Zoph & Le, ICLR 2017,
https://arxiv.org/abs/1611.01578, section 3.

It decides one decision after another, each given those before; a range is decided among its levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architecture import Decision
from models.domains import Choice, Scalar
from search.space import SearchSpace
from search.trial import Candidate

HIDDEN = 64
INITIAL_RANGE = 0.1
"""Weights start uniform in +-0.1, so that the first policy is about uniform (ENAS, appendix)."""


class Controller(nn.Module):
    """p(d_1) p(d_2 | d_1) ...: one step of an LSTM a decision.

    Shapes:
        choices: (N, decisions) indices of levels; active: (N, decisions) whether decided at all
    """

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        with torch.device("meta"):  # torch's own initialisation draws from the global generator
            self.cell = nn.LSTMCell(HIDDEN, HIDDEN)
            self.start = nn.Parameter(torch.empty(HIDDEN))
            self.embeddings = nn.ModuleList(nn.Embedding(size, HIDDEN) for size in sizes)
            self.heads = nn.ModuleList(nn.Linear(HIDDEN, size) for size in sizes)
        self.to_empty(device="cpu")
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-INITIAL_RANGE, INITIAL_RANGE, generator=generator)

    def first(self, count: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        zeros = torch.zeros(count, HIDDEN)
        return self.start.expand(count, HIDDEN), (zeros, zeros)

    def log_probabilities(self, choices: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Of each row, and the entropy of the decisions on its way, both summed over the active."""
        x, state = self.first(len(choices))
        total, entropy = torch.zeros(len(choices)), torch.zeros(len(choices))
        for step, (head, embedding) in enumerate(zip(self.heads, self.embeddings, strict=True)):
            state = self.cell(x, state)
            log_p = torch.log_softmax(head(state[0]), dim=1)
            chosen, is_active = choices[:, step], active[:, step]
            total = total + log_p.gather(1, chosen[:, None])[:, 0] * is_active
            entropy = entropy - (log_p.exp() * log_p).sum(dim=1) * is_active
            x = embedding(chosen) * is_active[:, None]
        return total, entropy


class Policy:
    """The controller of the decisions that leave a choice."""

    def __init__(self, space: SearchSpace, levels: int, generator: torch.Generator) -> None:
        """`levels`: values of a range to decide among."""
        self._space = space
        self._decided = [d for d in space.decisions if d.domain.size > 1]
        self._levels = [d.domain.levels(levels) for d in self._decided]
        self.controller = Controller([len(levels) for levels in self._levels], generator)

    def log_probabilities(self, candidates: Sequence[Candidate]) -> tuple[Tensor, Tensor]:
        """Of each candidate, and the entropy of the decisions on its way.

        Shapes:
            -> (candidates,) each
        """
        encoded = [self._encoded(candidate) for candidate in candidates]
        choices = torch.tensor([[max(index, 0) for index in row] for row in encoded])
        active = torch.tensor([[float(index >= 0) for index in row] for row in encoded])
        return self.controller.log_probabilities(choices, active)

    @torch.no_grad()
    def draw(self, count: int, generator: torch.Generator) -> list[Candidate]:
        """Independent draws."""
        x, state = self.controller.first(count)
        drawn: list[dict[str, Scalar]] = [{} for _ in range(count)]
        step = 0
        for decision in self._space.decisions:
            if decision.domain.size == 1:
                for values in drawn:
                    if decision.is_active(values):
                        values[decision.name] = decision.domain.first
                continue
            state = self.controller.cell(x, state)
            p = torch.softmax(self.controller.heads[step](state[0]), dim=1)
            chosen = torch.multinomial(p, 1, generator=generator)[:, 0]
            is_active = [decision.is_active(values) for values in drawn]
            for values, index, active in zip(drawn, chosen.tolist(), is_active, strict=True):
                if active:
                    values[decision.name] = self._levels[step][index]
            x = self.controller.embeddings[step](chosen) * torch.tensor(is_active)[:, None]
            step += 1
        return [self._space.candidate(values) for values in drawn]

    def _encoded(self, candidate: Candidate) -> list[int]:
        """The nearest level of each decision; -1 where it is inactive."""
        values = self._space.values(candidate)
        return [
            _nearest(decision, levels, values[decision.name]) if decision.name in values else -1
            for decision, levels in zip(self._decided, self._levels, strict=True)
        ]


def _nearest(decision: Decision, levels: Sequence[Scalar], value: Scalar) -> int:
    domain = decision.domain
    if isinstance(domain, Choice):
        return domain.encode(value).index(1.0)
    place = domain.encode(value)[0]
    return min(range(len(levels)), key=lambda i: abs(domain.encode(levels[i])[0] - place))
