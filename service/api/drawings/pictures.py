"""From the rows of trials to their picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from search.trial import Candidate, EnsembleProposal
from service.refusals import ProblemError
from service.sql.trial_rows import trial_of
from service.sql.trials import TrialRepository

if TYPE_CHECKING:
    from models.task import Task
    from search.request.dataset_facts import Lookup

REMEMBERED = 256
"""Pictures; one takes up to a second of a core."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Of a trial: one, or the members of an ensemble with their shares."""

    number: int
    candidates: tuple[Candidate, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, trials: TrialRepository, number: int) -> Self:
        """
        Raises:
            NotFoundError: the search has no such trial.
            ProblemError: 409, it has no network of its own.
        """
        from models.ensemble import chosen_in, shares_of

        trial = trial_of(trials.get(number))
        if isinstance(trial.proposal, Candidate):
            return cls(number, (trial.proposal,), (1.0,))
        if trial.derived is None or not isinstance(trial.proposal, EnsembleProposal):
            raise _undrawable(f"trial {number} has no network of its own")
        chosen = chosen_in(trial.derived)
        members = tuple(trial_of(trials.get(one.trial)).candidate for one in chosen)
        return cls(number, members, tuple(shares_of(chosen)))


@dataclass(frozen=True, slots=True)
class Picture:
    """SVG, and the source of its style for a Content-Security-Policy."""

    text: str
    style_source: str


def drawn(shown: Sequence[Networks], dataset: str, lookup: Lookup) -> Picture:
    """Of one trial, or of two side by side.

    Raises:
        ProblemError: 409, nothing can be drawn; says why.
    """
    from models.datasets import UnavailableDatasetError
    from models.drawing.svg import STYLE
    from models.family import InfeasibleError
    from models.registry import UnknownNameError
    from service.api.html.environment import source_of

    try:
        task = lookup(dataset).task
    except (UnknownNameError, UnavailableDatasetError) as error:
        raise _undrawable(f"the shapes are those of its dataset: {error}") from None
    if task is None:
        raise _undrawable("its search has looked up known results and built no network")
    if len(shown) > 1 and any(len(one.candidates) > 1 for one in shown):
        raise _undrawable("an ensemble is drawn alone")
    try:
        text = _of_one(shown[0], task) if len(shown) == 1 else _of_two(shown[0], shown[1], task)
    except InfeasibleError as error:
        raise _undrawable(f"no network is built of it: {error}") from None
    return Picture(text, source_of(STYLE))


def _undrawable(detail: str) -> ProblemError:
    return ProblemError(409, f"there is no picture: {detail}")


@lru_cache(maxsize=REMEMBERED)
def _of_one(networks: Networks, task: Task) -> str:
    from models.drawing import ensemble_picture, picture

    if len(networks.candidates) > 1:
        members = [(one.architecture, one.recipe) for one in networks.candidates]
        return ensemble_picture(members, networks.shares, task)
    (candidate,) = networks.candidates
    return picture(candidate.architecture, task, candidate.recipe)


@lru_cache(maxsize=REMEMBERED)
def _of_two(first: Networks, second: Networks, task: Task) -> str:
    from models.drawing import Pictured, picture_of_two

    sides: list[Any] = [
        Pictured(f"trial {one.number}", candidate.architecture, candidate.recipe)
        for one in (first, second)
        for candidate in one.candidates
    ]
    return picture_of_two(sides[0], sides[1], task)
