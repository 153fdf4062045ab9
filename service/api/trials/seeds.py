"""One setting against another over seeds: each side is a search and repeats of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy.orm import Session

from service.api.trials.ranking import best_items
from service.refusals import InvalidError, ProblemItem, item
from service.sql.searches import SearchRepository
from service.sql.trials import TrialRepository

MAX_SEEDS = 100
"""Searches of a side."""

Document = dict[str, Any]

Score = Literal["search", "final", "test"]
"""Of the winner: in the search, the mean of its final trainings, and theirs on test."""


@dataclass(frozen=True, slots=True)
class _Winner:
    """`item` is that of `best`; None: nothing has a result."""

    dataset: str
    spec: Document
    item: Document | None

    @property
    def setting(self) -> Document:
        return {key: value for key, value in self.spec.items() if key not in ("name", "seed")}

    def value(self, score: Score, metric: str) -> float | None:
        if self.item is None:
            return None
        if score == "search":
            found = self.item["search_metrics"].get(metric)
        else:
            name = metric if score == "final" else f"test_{metric.removeprefix('val_')}"
            final: Mapping[str, Document] = self.item["final_metrics"] or {}
            found = final[name]["mean"] if name in final else None
        return None if found is None else float(found)


def side(search_id: str, runs: str) -> list[str]:
    """The search and its repeats, whose ids stand between commas."""
    return [search_id, *filter(None, runs.split(","))]


def over_seeds(
    session: Session, tenant_id: str, firsts: Sequence[str], seconds: Sequence[str]
) -> list[Document]:
    """For each objective and each score that both sides have; a pair of searches of which one has
    no such score is left out.

    Raises:
        NotFoundError: the tenant has no such searches.
        InvalidError: not as many on one side as on the other, or a search that differs from the
            first of its side in more than its name and seed, or has the seed of another one.
    """
    for name, of_side in (("runs", firsts), ("other_runs", seconds)):
        if len(of_side) > MAX_SEEDS:
            told = f"{MAX_SEEDS - 1} at most, got {len(of_side) - 1}"
            raise InvalidError([item("query", f"/{name}", told)])
    sides = [[_winner(session, tenant_id, id_) for id_ in ids] for ids in (firsts, seconds)]
    wrong = [*_no_repeats(firsts, sides[0], "runs"), *_no_repeats(seconds, sides[1], "other_runs")]
    if len(firsts) != len(seconds):
        told = f"{len(firsts) - 1} runs, and {len(seconds) - 1} of the other search"
        wrong.append(item("query", "/other_runs", f"they are pairs; got {told}"))
    if wrong:
        raise InvalidError(wrong)
    return list(_differences(*sides))


def _winner(session: Session, tenant_id: str, search_id: str) -> _Winner:
    search = SearchRepository(session, tenant_id).get(search_id)
    items = best_items(search, TrialRepository(session, tenant_id, search_id))
    return _Winner(search.dataset_fingerprint, search.spec, items[0] if items else None)


def _no_repeats(ids: Sequence[str], winners: Sequence[_Winner], name: str) -> Iterator[ProblemItem]:
    """What is wrong with the searches behind the first one."""
    origin = winners[0]
    for index, (search_id, found) in enumerate(zip(ids[1:], winners[1:], strict=True)):
        differ = sorted(
            key
            for key in origin.setting.keys() | found.setting.keys()
            if origin.setting.get(key) != found.setting.get(key)
        )
        if found.dataset != origin.dataset:
            differ.append("data")
        seeds = [winner.spec["seed"] for winner in winners[: index + 1]]
        if differ:
            told = f"{search_id} is no repeat of {ids[0]}: {', '.join(differ)} differ"
            yield item("query", f"/{name}/{index}", told)
        elif found.spec["seed"] in seeds:
            told = f"{search_id} has the seed {found.spec['seed']} of another one, and says no more"
            yield item("query", f"/{name}/{index}", told)


def _differences(first: Sequence[_Winner], second: Sequence[_Winner]) -> Iterator[Document]:
    from search.request.read import stored_spec
    from search.results.comparison import difference_over_seeds

    if first[0].dataset != second[0].dataset:
        return
    objectives, others = (stored_spec(winners[0].spec).objectives for winners in (first, second))
    shared = {(o.metric, o.goal) for o in others}
    for objective in objectives:
        if (objective.metric, objective.goal) not in shared:
            continue
        sign = 1 if objective.goal == "maximize" else -1
        for score in get_args(Score):
            values = [
                [found.value(score, objective.metric) for found in winners]
                for winners in (first, second)
            ]
            pairs = [
                (sign * x, sign * y)
                for x, y in zip(*values, strict=True)
                if x is not None and y is not None
            ]
            if pairs:
                yield {
                    "metric": objective.metric,
                    "goal": objective.goal,
                    "score": score,
                    **difference_over_seeds(*zip(*pairs, strict=True)),
                }
