"""Where the results of a search come from: networks that are trained, or a table of known ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from search.evaluation import Evaluator
from search.evaluators.tabular import load_table
from search.problems import SpecProblem
from search.request.dataset_facts import DatasetFacts
from search.request.read import Draft
from search.request.tabular import Tabular
from search.request.trained import Trained
from search.space import SearchSpace
from search.spec import SearchSpec
from search.trial import Candidate


class Source(Protocol):
    """All in which a search that trains networks and one that looks results up differ.

    `metrics` may be objectives and constraints. `trains`: trials take processes of their own, and
    the final ones leave networks to publish.
    """

    @property
    def dataset(self) -> DatasetFacts: ...

    @property
    def trains(self) -> bool: ...

    @property
    def metrics(self) -> Sequence[str]: ...

    def defaults(self, draft: Draft[SearchSpec]) -> Draft[SearchSpec]:
        """With what the request left open."""

    def name(self, spec: SearchSpec) -> str:
        """Of a search that was given none."""

    def problems(self, draft: Draft[SearchSpec]) -> Iterator[SpecProblem]:
        """Of valid fields that ask for what this source has not."""

    def space(self, spec: SearchSpec) -> SearchSpace:
        """
        Raises:
            search.problems.SpecError: there is no such space here.
        """

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """What is known of a candidate before it is evaluated.

        Raises:
            models.family.InfeasibleError: it cannot be evaluated.
        """

    def work(
        self, spec: SearchSpec, space: SearchSpace, trials: int, finals: int
    ) -> tuple[float, float | None]:
        """Of so many trials and so many final ones together: epochs, and samples that a network
        sees in training; None where there is no network.
        """

    def steps(self, spec: SearchSpec) -> float | None:
        """Of the optimizer, that a trial of the search stage makes in each of its networks, the
        mean over what the recipe may say; None where there is none.
        """

    def evaluator(self, spec: SearchSpec, checkpoints: str) -> Callable[[], Evaluator]:
        """What makes an evaluator in the process that calls it; it can be sent to workers.
        `checkpoints`: folder or URL of what trials leave behind.
        """


def source_of(dataset: DatasetFacts) -> Source:
    if dataset.task is None:
        return Tabular(dataset, load_table(dataset.reference))
    return Trained(dataset, dataset.task)
