"""What a search remembers of earlier ones on other data: how candidates ranked that it may try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from scipy.stats import rankdata

from models.datasets import UnavailableDatasetError
from models.registry import UnknownNameError
from models.task import Task
from search.memory import Memory, Recollection, Remembered
from search.problems import SpecError, SpecWarning, problem
from search.request.dataset_facts import Lookup
from search.request.resolve import Resolved
from search.space import SearchSpace
from search.spec import OWN, SearchSpec
from search.trial import Candidate, Trial

MOST_SEARCHES = 5
"""Of a memory, where the request does not name more."""

MOST_RESULTS = 200
"""Of an earlier search: the best half, and as many evenly spread over the others."""

LEAST_RESULTS = 5
"""In this space, below which an earlier search says nothing of it."""


class Past(Protocol):
    """An earlier search of the same tenant."""

    @property
    def id(self) -> str: ...

    @property
    def spec(self) -> SearchSpec: ...

    @property
    def dataset_fingerprint(self) -> str: ...

    def scores(self) -> Sequence[tuple[int, tuple[float, ...]]]:
        """Number and fitness of every candidate with a result."""

    def trials(self, numbers: Sequence[int]) -> Sequence[Trial]:
        """Those, in the order of their numbers."""


class Archives(Protocol):
    """The earlier searches of a tenant."""

    def named(self, search_id: str) -> Past | None:
        """None: the tenant has no such search."""

    def ended(self) -> Iterable[Past]:
        """Those that have ended, newest first."""


def remembered(
    resolved: Resolved, archives: Archives, lookup: Lookup
) -> tuple[Memory, list[SpecWarning]]:
    """The memory that the spec asks for, the searches that it names first, and what to tell whoever
    asks. `lookup` knows the datasets of the earlier searches.

    An earlier search fits where it is on other data of the same task, by the same objective, and
    has results in this space: of an architecture that is a point of it, with the nearest recipe of
    this search's, for recipes follow the size of the data. One that is named and does not fit is
    refused.

    Raises:
        search.problems.SpecError: with what differs, for each search that does not fit.
    """
    found: dict[str, Remembered] = {}
    problems = []
    for index, name in enumerate(resolved.spec.memory):
        if name == OWN:
            continue
        try:
            past = archives.named(name)
            if past is None:
                raise ValueError(f"there is no search {name!r}")
            found[name] = _recalled(resolved, past, lookup)
        except ValueError as error:
            problems.append(problem(str(error), "memory", index))
    if problems:
        raise SpecError(problems)
    if OWN in resolved.spec.memory:
        for own in _own(resolved, archives, lookup):
            if len(found) >= MOST_SEARCHES:
                break
            found.setdefault(own.search, own)
    return list(found.values()), [] if found else list(_nothing(resolved.spec))


def _own(resolved: Resolved, archives: Archives, lookup: Lookup) -> Iterator[Remembered]:
    """Of the tenant's searches those that fit, newest first."""
    for past in archives.ended():
        try:
            yield _recalled(resolved, past, lookup)
        except ValueError:  # it does not fit, and nobody named it
            continue


def _nothing(spec: SearchSpec) -> Iterator[SpecWarning]:
    if spec.memory:
        message = (
            "no earlier search fits: one that has ended, on other data of this task, by the same "
            f"objective, with {LEAST_RESULTS} results in this space; the search remembers nothing"
        )
        yield SpecWarning("nothing_remembered", message, "/memory")


def _recalled(resolved: Resolved, past: Past, lookup: Lookup) -> Remembered:
    """
    Raises:
        ValueError: it does not fit; says why.
    """
    _require_likeness(resolved, past, lookup)
    scores = past.scores()
    ranked = places([fitness[0] for _, fitness in scores])
    chosen = {scores[index][0]: place for index, place in ranked}
    candidates = {trial.number: trial.candidate for trial in past.trials(list(chosen))}
    found = recollections(
        resolved.space, [(candidates[number], place) for number, place in chosen.items()]
    )
    if len(found) < LEAST_RESULTS:
        raise ValueError(
            f"{past.id} has {len(found)} distinct results in this space, {LEAST_RESULTS} are needed"
        )
    fingerprint, dataset = past.dataset_fingerprint, past.spec.dataset
    return Remembered(past.id, dataset, fingerprint, len(scores), found)


def _require_likeness(resolved: Resolved, past: Past, lookup: Lookup) -> None:
    spec = resolved.spec
    if past.dataset_fingerprint == resolved.dataset.fingerprint:
        raise ValueError(
            f"{past.id} searched the same data, so that its results count as they are: name it in "
            "warm_start"
        )
    if (theirs := _aim(past.spec)) != (ours := _aim(spec)):
        raise ValueError(f"/objectives differ: it is to {theirs}, here it is to {ours}")
    if not set(past.spec.families) & set(spec.families):
        named = (" or ".join(known.families) for known in (past.spec, spec))
        raise ValueError("/space/family differs: it is {}, here it is {}".format(*named))
    try:
        theirs = _name(lookup(past.spec.dataset).task)
    except (UnknownNameError, UnavailableDatasetError):
        message = f"its dataset {past.spec.dataset!r} is not here any more, so that its task is not"
        raise ValueError(f"{message} known") from None
    if theirs != (ours := _name(resolved.dataset.task)):
        raise ValueError(f"its task differs: it is {theirs}, here it is {ours}")


def _aim(spec: SearchSpec) -> str:
    return " and ".join(f"{objective.goal} {objective.metric}" for objective in spec.objectives)


def _name(task: Task | None) -> str:
    return "a table of known results" if task is None else task.name


def places(scores: Sequence[float]) -> list[tuple[int, float]]:
    """Of `MOST_RESULTS` at most of the scores, best first: index and place, in 0..1 among all of
    them. Equal scores share one, and the earlier comes first.
    """
    ranks = rankdata(scores)
    ranked = sorted(range(len(scores)), key=lambda index: (-ranks[index], index))
    if len(ranked) > MOST_RESULTS:
        half = MOST_RESULTS // 2
        others = ranked[half:]
        ranked = [*ranked[:half], *(others[i * len(others) // half] for i in range(half))]
    return [(index, float((ranks[index] - 0.5) / len(scores))) for index in ranked]


def recollections(
    space: SearchSpace, placed: Iterable[tuple[Candidate, float]]
) -> tuple[Recollection, ...]:
    """Candidates of another search with their places, best first, as far as their architectures are
    points of this space: each once.
    """
    found: dict[tuple[str, str], Recollection] = {}
    for theirs, place in placed:
        if (candidate := _here(space, theirs)) is not None:
            keys = space.keys(candidate)
            found.setdefault(keys, Recollection(candidate, *keys, place))
    return tuple(found.values())


def _here(space: SearchSpace, candidate: Candidate) -> Candidate | None:
    """The candidate in this space; None where its architecture is no point of it."""
    if candidate.architecture.family not in space.families:
        return None
    fields = candidate.recipe.model_dump().items()
    recipe = {name: value for name, value in fields if value is not None}
    found = space.nearest(candidate.architecture, recipe)
    return found if found.architecture == candidate.architecture else None
