"""What a strategy is: which proposal to try next, as a function of what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeVar

from pydantic import Field, field_validator

from models.plugins import require
from models.registry import Registry
from models.settings import Items, Settings
from search.predictors.proxy_scores import ProxyName, Scorer
from search.space import SearchSpace
from search.trial import Proposal, Trial


class StrategySettings(Settings):
    """What a request may say about a strategy beside its name."""

    name: str = ""

    def for_budget(self, trials: int) -> Self:
        """With what a request leaves open and the budget decides."""
        return self


S = TypeVar("S", bound=StrategySettings)


def with_initial_samples(settings: S, trials: int, at_most: int) -> S:
    """With `initial_samples`, where they are left open: a quarter of the budget, so that there are
    trials that follow from what was learned.
    """
    if "initial_samples" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"initial_samples": min(at_most, max(2, trials // 4))})


class ScoredSettings(StrategySettings):
    """Of a strategy that can learn from zero-cost scores. Where a request names proxies it is
    given a `Scorer` of them, which is a function of the candidate alone: what it proposes stays a
    function of seed, number and what it was told.
    """

    proxies: Items[ProxyName] = Field(
        default=(),
        max_length=8,
        description="zero-cost scores that the predictor sees beside the architecture, of "
        "networks that are built for it",
    )

    @field_validator("proxies")
    @classmethod
    def _proxies_are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"each proxy is named once, got {list(names)}")
        return names


class Strategy(Protocol):
    """A pure function of its seed, the number asked for and what it was told, in order.

    No I/O, no clock, no global random state: a crashed search is continued by telling a fresh
    strategy the journal. `ask` changes nothing that a later `ask` or `tell` can see.
    """

    def ask(self, number: int, running: Sequence[Trial]) -> Proposal | None:
        """The proposal for trial `number` while the trials `running` have no result yet. None:
        there is none before another of them has ended; without any, none at all.

        `running` is in the order of the numbers, with repeats that wait for a running trial.
        """

    def tell(self, trial: Trial) -> None:
        """An ended trial: completed, pruned, failed or cached; never a final one, and never with a
        metric of the test split. Its `fitness` is None where it failed, broke a constraint, or was
        pruned; a pruned one has the metrics of its last epoch, to compare among equals.
        """


class StrategyClass(Protocol):
    """What a file registers.

    `objectives`: the largest number of objectives that the strategy can optimise.
    """

    Settings: type[StrategySettings]
    objectives: int

    def __call__(self, space: SearchSpace, settings: StrategySettings, seed: int) -> Strategy: ...


class ScoredStrategyClass(Protocol):
    """What a file registers whose `Settings` are `ScoredSettings`."""

    def __call__(
        self, space: SearchSpace, settings: StrategySettings, seed: int, scorer: Scorer
    ) -> Strategy: ...


MANY_OBJECTIVES = 8


def _check(entry: Any) -> None:
    require(entry, "Settings", "objectives", "ask", "tell")
    if not (isinstance(entry.Settings, type) and issubclass(entry.Settings, StrategySettings)):
        raise TypeError(f"{entry!r} has Settings that are no StrategySettings")


strategies: Registry[StrategyClass] = Registry(
    "strategy", "search.strategies", plugins="nasmith.strategies", check=_check
)
