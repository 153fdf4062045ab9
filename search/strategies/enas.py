"""ENAS, Pham et al., ICML 2018, https://arxiv.org/abs/1802.03268: a controller trained by REINFORCE
over shared weights.

The two phases of section 2.2 take turns from step to step, where the paper's take turns from epoch
to epoch. The reward is exp(-loss) on a held-out batch, the paper's c / perplexity with c = 1; of a
classification it is the mean probability (geometric) of the right class. The entropy of the policy
is a term of the objective itself and not of the reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from models.architecture import Architecture
from models.supernets import Supernet
from search.predictors.controller import Policy
from search.space import SearchSpace
from search.strategies.weight_sharing import WeightSharing
from search.strategy import strategies
from search.trial import Candidate
from search.weight_sharing.one_shot import Batch, Loss
from search.weight_sharing.paths import Paths, PathSettings, batch_statistics


class EnasSettings(PathSettings):
    """The controller, how many subnets are compared, and how the supernet is trained."""

    controller_learning_rate: float = Field(
        0.0035, gt=0, le=1, description="of the controller, by Adam"
    )
    controller_samples: int = Field(
        4, ge=1, le=1000, description="subnets that a step of the controller scores"
    )
    entropy: float = Field(1e-4, ge=0, le=10, description="weight of the entropy bonus")
    baseline_decay: float = Field(
        0.99, ge=0, lt=1, description="of the moving mean of rewards that is the baseline"
    )
    levels: int = Field(8, ge=2, le=1000, description="values of a range to decide among")


class EnasSearch(Paths):
    """Paths are drawn from the controller, which each step pushes towards the better ones."""

    settings: EnasSettings

    def __init__(
        self,
        supernet: Supernet,
        settings: EnasSettings,
        loss: Loss,
        generator: torch.Generator,
        space: SearchSpace,
    ) -> None:
        super().__init__(supernet, settings, loss, generator, space)
        self.policy = Policy(space, settings.levels, generator)
        self._controller_optimizer = Adam(
            self.policy.controller.parameters(),
            lr=settings.controller_learning_rate,
            foreach=False,
        )
        self._baseline: float | None = None

    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        return [candidate.architecture for candidate in self.policy.draw(count, generator)]

    def held_out_step(self, trained: Architecture, held_out: Batch) -> Tensor:
        """A step of the controller; the mean loss of the paths that it drew."""
        drawn = self.policy.draw(self.settings.controller_samples, self._generator)
        with batch_statistics(self.supernet):
            losses = self.path_losses([candidate.architecture for candidate in drawn], [held_out])
        self.learn(drawn, [math.exp(-loss) for loss in losses])
        return torch.tensor(losses, device=held_out.y.device).mean()

    def learn(self, drawn: Sequence[Candidate], rewards: Sequence[float]) -> None:
        """Equation 2, a step of the controller: the gradient of log p times the advantage."""
        mean = sum(rewards) / len(rewards)
        baseline = mean if self._baseline is None else self._baseline
        decay = self.settings.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean
        log_p, entropy = self.policy.log_probabilities(drawn)
        if not log_p.requires_grad:  # the space holds one architecture
            return
        gain = log_p * (torch.tensor(rewards) - baseline)
        self._controller_optimizer.zero_grad()
        torch.autograd.backward(-(gain + self.settings.entropy * entropy).mean())
        self._controller_optimizer.step()

    def trained(self) -> dict[str, nn.Module]:
        return super().trained() | {"controller": self.policy.controller}

    def optimizers(self) -> dict[str, Optimizer]:
        return super().optimizers() | {"controller_optimizer": self._controller_optimizer}

    def state(self) -> dict[str, Tensor]:
        if self._baseline is None:
            return super().state()
        value = torch.tensor(self._baseline, dtype=torch.float64)
        return super().state() | {"baseline.value": value}

    def load(self, state: Mapping[str, Tensor]) -> None:
        super().load(state)
        self._baseline = state["baseline.value"].item() if "baseline.value" in state else None


@strategies.register("enas")
class Enas(WeightSharing):
    """A controller learns which paths through shared weights to take; the best is the candidate."""

    method = "enas"
    Settings = EnasSettings
    Search = EnasSearch
