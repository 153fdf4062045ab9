"""REINFORCE with an autoregressive LSTM controller, Zoph & Le, ICLR 2017,
https://arxiv.org/abs/1611.01578, section 3; clipped update of PPO, Schulman et al., 2017,
https://arxiv.org/abs/1707.06347, equation 7.

The controller decides one decision after another, each given those before; a range is decided among
its levels. Rewards are standardised by what was told, so that one learning rate fits every metric.
What was tried before is not asked for again: of several draws the first new one is proposed, or
else a mutation of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.architecture import Choice, Decision, Scalar
from search.space import SearchSpace
from search.strategies import StrategySettings, rng_for, strategies
from search.trial import Candidate, Trial

Keys = tuple[str, str]

HIDDEN = 64
MAX_MUTATIONS = 20
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


@strategies.register("reinforce")
class Reinforce:
    """A policy over architectures that is pushed towards those above a moving baseline."""

    objectives = 1

    class Settings(StrategySettings):
        """The policy gradient."""

        # Queries until the best 0.1 % of NAS-Bench-201 (cifar10), cap 300, 30 seeds: 0.01: 129;
        # 0.02: 145.
        learning_rate: float = Field(0.01, gt=0, le=1, description="of Adam")
        batch_size: int = Field(4, ge=1, le=10_000, description="results of an update")
        entropy: float = Field(0.02, ge=0, le=10, description="weight of the entropy bonus")
        baseline_decay: float = Field(
            0.9, ge=0, lt=1, description="of the moving mean of rewards that is the baseline"
        )
        update: Literal["reinforce", "ppo"] = Field(
            "reinforce", description="one plain step a batch, or several clipped ones"
        )
        clip: float = Field(0.2, gt=0, lt=1, description="epsilon of ppo")
        steps: int = Field(4, ge=1, le=100, description="of ppo on a batch")
        levels: int = Field(8, ge=2, le=1000, description="values of a range to decide among")
        draws: int = Field(16, ge=1, le=1000, description="of the policy, to find a new one")

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._decided = [d for d in space.decisions if d.domain.size > 1]
        self._levels = [d.domain.levels(settings.levels) for d in self._decided]
        generator = torch.Generator().manual_seed(rng_for(seed, -1).randrange(2**63))
        self._controller = Controller([len(levels) for levels in self._levels], generator)
        self._optimizer = torch.optim.Adam(
            self._controller.parameters(), lr=settings.learning_rate, foreach=False
        )
        self._tried: set[Keys] = set()
        self._rewards = Moments()
        self._baseline: float | None = None
        self._batch: list[tuple[Candidate, float]] = []

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, number)
        busy = {self._space.keys(trial.candidate) for trial in running}
        draws = self._draw(torch.Generator().manual_seed(rng.randrange(2**63)))
        for candidate in draws:
            keys = self._space.keys(candidate)
            if keys not in self._tried and keys not in busy:
                return candidate
        candidate = draws[0]
        for _ in range(MAX_MUTATIONS):
            candidate = self._space.mutate(candidate, rng)
            keys = self._space.keys(candidate)
            if keys not in self._tried and keys not in busy:
                break
        return candidate

    def tell(self, trial: Trial) -> None:
        keys = self._space.keys(trial.candidate)
        is_new = keys not in self._tried
        self._tried.add(keys)
        if trial.fitness is None or not is_new:
            return
        self._batch.append((trial.candidate, trial.fitness[0]))
        if len(self._batch) >= self._settings.batch_size:
            self._learn()
            self._batch.clear()

    def _learn(self) -> None:
        """One update: the gradient of log p times the advantage (section 3.2), with a bonus."""
        settings = self._settings
        for _, reward in self._batch:
            self._rewards.add(reward)
        scores = [self._rewards.standardised(reward) for _, reward in self._batch]
        mean = sum(scores) / len(scores)
        baseline = mean if self._baseline is None else self._baseline
        self._baseline = settings.baseline_decay * baseline + (1 - settings.baseline_decay) * mean
        advantages = torch.tensor([score - baseline for score in scores])
        encoded = [self._encoded(candidate) for candidate, _ in self._batch]
        choices = torch.tensor([[max(index, 0) for index in row] for row in encoded])
        active = torch.tensor([[float(index >= 0) for index in row] for row in encoded])
        old: Tensor | None = None
        for _ in range(settings.steps if settings.update == "ppo" else 1):
            log_p, entropy = self._controller.log_probabilities(choices, active)
            if settings.update == "ppo":
                old = log_p.detach() if old is None else old
                ratio = (log_p - old).exp()
                clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
                gain = torch.minimum(ratio * advantages, clipped * advantages)
            else:
                gain = log_p * advantages
            loss = -(gain + settings.entropy * entropy).mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            self._optimizer.step()

    def _encoded(self, candidate: Candidate) -> list[int]:
        """The nearest level of each decision; -1 where it is inactive."""
        values = self._space.values(candidate)
        return [
            _nearest(decision, levels, values[decision.name]) if decision.name in values else -1
            for decision, levels in zip(self._decided, self._levels, strict=True)
        ]

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> list[Candidate]:
        """Independent draws of the policy."""
        count = self._settings.draws
        x, state = self._controller.first(count)
        drawn: list[dict[str, Scalar]] = [{} for _ in range(count)]
        step = 0
        for decision in self._space.decisions:
            if decision.domain.size == 1:
                for values in drawn:
                    if decision.is_active(values):
                        values[decision.name] = decision.domain.first
                continue
            state = self._controller.cell(x, state)
            p = torch.softmax(self._controller.heads[step](state[0]), dim=1)
            chosen = torch.multinomial(p, 1, generator=generator)[:, 0]
            is_active = [decision.is_active(values) for values in drawn]
            for values, index, active in zip(drawn, chosen.tolist(), is_active, strict=True):
                if active:
                    values[decision.name] = self._levels[step][index]
            x = self._controller.embeddings[step](chosen) * torch.tensor(is_active)[:, None]
            step += 1
        return [self._space.candidate(values) for values in drawn]


class Moments:
    """Running mean and variance, Welford 1962."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self._count += 1
        difference = value - self._mean
        self._mean += difference / self._count
        self._squares += difference * (value - self._mean)

    def standardised(self, value: float) -> float:
        """In standard deviations from the mean, at most three: a broken network teaches no more."""
        deviation = math.sqrt(self._squares / max(self._count - 1, 1))
        return min(max((value - self._mean) / (deviation or 1.0), -3.0), 3.0)


def _nearest(decision: Decision, levels: Sequence[Scalar], value: Scalar) -> int:
    domain = decision.domain
    if isinstance(domain, Choice):
        return domain.encode(value).index(1.0)
    place = domain.encode(value)[0]
    return min(range(len(levels)), key=lambda i: abs(domain.encode(levels[i])[0] - place))
