"""REINFORCE with an autoregressive LSTM controller (`search.predictors.controller`), Zoph & Le,
ICLR 2017, https://arxiv.org/abs/1611.01578, section 3; clipped update of PPO, Schulman et al.,
2017, https://arxiv.org/abs/1707.06347, equation 7.

Rewards are standardised by what was told, so that one learning rate fits every metric.
What was tried before is not asked for again: of several draws the first new one is proposed, or
else a mutation of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from search.predictors.controller import Policy
from search.space import SearchSpace
from search.strategy import StrategySettings, strategies
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

Keys = tuple[str, str]

MAX_MUTATIONS = 20


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
        generator = torch.Generator().manual_seed(
            rng_for(seed, SearchPurpose.POLICY).randrange(2**63)
        )
        self._policy = Policy(space, settings.levels, generator)
        self._optimizer = torch.optim.Adam(
            self._policy.controller.parameters(), lr=settings.learning_rate, foreach=False
        )
        self._tried: set[Keys] = set()
        self._rewards = Moments()
        self._baseline: float | None = None
        self._batch: list[tuple[Candidate, float]] = []

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        busy = {self._space.keys(trial.candidate) for trial in running}
        generator = torch.Generator().manual_seed(rng.randrange(2**63))
        draws = self._policy.draw(self._settings.draws, generator)
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
        candidates = [candidate for candidate, _ in self._batch]
        old: Tensor | None = None
        for _ in range(settings.steps if settings.update == "ppo" else 1):
            log_p, entropy = self._policy.log_probabilities(candidates)
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
