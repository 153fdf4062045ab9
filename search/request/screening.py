"""What a search does with the zero-cost scores of its candidates: begin with the best of a sample,
refuse the worst, and keep the score of every trial beside its result.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Self

from models.family import InfeasibleError
from search.engine.suggestions import Suggestion
from search.evaluators.proxies import ProxyScorer
from search.objectives import violation
from search.predictors.proxy_scores import Scorer
from search.request.resolve import Resolved
from search.space import SearchSpace
from search.spec import ProxySettings, SearchSpec
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate

log = logging.getLogger(__name__)


class Screening:
    """Implements `search.engine.feasibility.Screen` for the proxies of a spec.

    Everything here is a function of the spec and of the dataset: a search that goes on after a
    crash works it out again.
    """

    def __init__(
        self,
        spec: SearchSpec,
        space: SearchSpace,
        cost: Callable[[Candidate], Mapping[str, float]],
        scorer: Scorer,
    ) -> None:
        self._spec, self._space, self._cost, self._scorer = spec, space, cost, scorer
        self._limits = spec.cost_limits

    @classmethod
    def of(cls, resolved: Resolved) -> Self | None:
        """None where the spec names no proxy. Those that the strategy learns from are scored as
        well, so that the report can say how well they ranked.
        """
        spec = resolved.spec
        if not spec.scored_by:
            return None
        scorer = ProxyScorer(resolved.dataset.reference, spec.scored_by, spec.stream_seed)
        return cls(spec, resolved.space, resolved.cost, scorer)

    def suggestions(self) -> Sequence[Suggestion]:
        """The best of the sample by each proxy whose best are tried first, the best first."""
        found: dict[Candidate, Suggestion] = {}
        for proxy in self._spec.proxies:
            if proxy.use == "first":
                scored = self._scored(proxy)
                scored.sort(key=lambda pair: -pair[1])  # stable: ties in the order of the draws
                for candidate, _ in scored[: proxy.top]:
                    found.setdefault(candidate, Suggestion(candidate, f"proxy:{proxy.name}"))
        return list(found.values())

    def scores(self, candidate: Candidate) -> Mapping[str, float]:
        """Those that are finite.

        Raises:
            models.family.InfeasibleError: no network can be built from the candidate.
        """
        found = self._scorer(candidate)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def refusal(self, scores: Mapping[str, float]) -> str | None:
        """Why a candidate with these scores is not trained."""
        for proxy in self._spec.proxies:
            if proxy.use != "filter":
                continue
            score, least = scores.get(proxy.name, -math.inf), self._thresholds[proxy.name]
            if score < least:
                return (
                    f"{proxy.name} {score:g} is below {least:g}, the {proxy.quantile:g} quantile "
                    f"of the sample"
                )
        return None

    @cached_property
    def _thresholds(self) -> Mapping[str, float]:
        thresholds = {}
        for proxy in self._spec.proxies:
            scores = sorted(score for _, score in self._scored(proxy))
            if scores:
                thresholds[proxy.name] = scores[int(proxy.quantile * len(scores))]
            else:
                thresholds[proxy.name] = -math.inf
        return thresholds

    def _scored(self, proxy: ProxySettings) -> list[tuple[Candidate, float]]:
        """The sample with its scores; a score that is not finite is below all others."""
        found = []
        for candidate in self._sample(proxy.samples):
            try:
                score = self._scorer(candidate)[proxy.name]
            except InfeasibleError:
                continue
            except Exception as error:  # of this candidate alone
                log.warning("a sample has no %s: %s: %s", proxy.name, type(error).__name__, error)
                continue
            found.append((candidate, score if math.isfinite(score) else -math.inf))
        return found

    def _sample(self, draws: int) -> Iterator[Candidate]:
        """The distinct architectures among so many draws that keep the limits on the cost."""
        seen: set[str] = set()
        for draw in range(draws):
            candidate = self._space.sample(
                rng_for(self._spec.stream_seed, SearchPurpose.SCREENING, draw)
            )
            architecture_key, _ = self._space.keys(candidate)
            if architecture_key in seen:
                continue
            seen.add(architecture_key)
            if self._limits:
                try:
                    metrics = self._cost(candidate)
                except InfeasibleError:
                    continue
                if violation(metrics, self._limits):
                    continue
            yield candidate
