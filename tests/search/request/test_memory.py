"""Which earlier searches a search remembers, and what of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import pytest

from search.engine.journal import MemoryJournal
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.stage import Given
from search.engine.stages.candidates import CANDIDATE
from search.memory import Memory
from search.request.dataset_facts import named_facts
from search.request.memory import LEAST_RESULTS, MOST_RESULTS, Past, remembered
from search.request.read import stored_spec
from search.request.resolve import Resolved, SpecError, resolve
from search.spec import SearchSpec
from search.trial import Trial, TrialState
from tests.search.support.bodies import problems

MLP: dict[str, Any] = {
    "dataset": "wine",
    "space": {"family": "mlp", "depth": {"low": 1, "high": 3}, "width": {"choice": [16, 32, 64]}},
    "strategy": {"name": "random"},
    "opening": "none",
    "memory": ["srch_a"],
}


@cache
def resolved(dataset: str = "wine") -> Resolved:
    return resolve({**MLP, "dataset": dataset})


@dataclass(frozen=True)
class Stored:
    """An earlier search with its results in memory."""

    id: str
    spec: SearchSpec
    dataset_fingerprint: str
    results: Sequence[Trial] = field(default=())

    def scores(self) -> Sequence[tuple[int, tuple[float, ...]]]:
        return [(trial.number, trial.fitness or ()) for trial in self.results]

    def trials(self, numbers: Sequence[int]) -> Sequence[Trial]:
        return [trial for trial in self.results if trial.number in set(numbers)]


class Shelf:
    def __init__(self, *searches: Past) -> None:
        self._searches = searches

    def named(self, search_id: str) -> Past | None:
        return next((search for search in self._searches if search.id == search_id), None)

    def ended(self) -> Iterable[Past]:
        return reversed(self._searches)


def stored(
    name: str, scores: Sequence[float], dataset: str = "breast_cancer", **changes: Any
) -> Stored:
    there = resolve({**MLP, "dataset": dataset, "memory": "off", **changes})
    rng = Random(name)
    trials = [
        Trial(
            number,
            CANDIDATE,
            candidate,
            TrialState.COMPLETED,
            *there.space.keys(candidate),
            fitness=(score,),
        )
        for number, score in enumerate(scores)
        for candidate in [there.space.sample(rng)]
    ]
    return Stored(name, there.spec, there.dataset.fingerprint, trials)


def of(memory: str | list[str], *searches: Past) -> tuple[Memory, list[str]]:
    spec = resolved().spec.model_copy(
        update={"memory": tuple([memory] if memory == "own" else memory)}
    )
    here = Resolved(spec, resolved().source, resolved().space)
    found, warnings = remembered(here, Shelf(*searches), named_facts)
    return found, [warning.code for warning in warnings]


def test_places_are_those_among_all_results_best_first_and_equal_ones_share_theirs() -> None:
    """Of 0.2, 0.9, 0.5, 0.5, 0.1 the ranks are 2, 5, 3.5, 3.5, 1."""
    earlier = stored("srch_a", [0.2, 0.9, 0.5, 0.5, 0.1])
    (found,), warnings = of(["srch_a"], earlier)
    assert [round(r.place, 6) for r in found.recollections] == [0.9, 0.6, 0.6, 0.3, 0.1]
    assert (
        found.recollections[0].candidate.architecture == earlier.results[1].candidate.architecture
    )
    assert (found.search, found.dataset, found.results) == ("srch_a", "breast_cancer", 5)
    assert warnings == []
    space = resolved().space
    for recollection in found.recollections:
        assert space.candidate(space.values(recollection.candidate)) == recollection.candidate
        keys = (recollection.architecture_key, recollection.recipe_key)
        assert space.keys(recollection.candidate) == keys


def test_the_recipe_is_that_of_this_search_as_near_as_it_comes() -> None:
    """Epochs and batches follow the size of the data, so that no recipe is a point of both."""
    training = {"epochs": 3, "learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
    earlier = stored("srch_a", range(6), training=training)
    (found,), _ = of(["srch_a"], earlier)
    theirs = {t.candidate.architecture: t.candidate.recipe for t in earlier.results}
    for recollection in found.recollections:
        recipe = recollection.candidate.recipe
        assert recipe.epochs in resolved().space.epochs
        assert theirs[recollection.candidate.architecture].epochs == 3


def test_of_many_results_the_best_half_and_some_of_all_others_are_remembered() -> None:
    deep = {"family": "mlp", "depth": {"low": 3, "high": 4}}
    earlier, here = stored("srch_a", range(900), space=deep), resolve({**MLP, "space": deep})
    (found,), _ = remembered(here, Shelf(earlier), named_facts)
    places = [recollection.place for recollection in found.recollections]
    assert (found.results, len(places)) == (900, MOST_RESULTS)
    assert places == sorted(places, reverse=True) and places[0] == pytest.approx(899.5 / 900)
    assert sum(place > 800 / 900 for place in places) == MOST_RESULTS // 2
    assert places[-1] == pytest.approx(7.5 / 900), "each eighth of the 800 others"


def test_own_ones_are_the_newest_that_fit_after_those_that_are_named() -> None:
    fitting = [stored(f"srch_{n}", range(6)) for n in range(7)]
    others = [
        stored("srch_same", range(6), dataset="wine"),
        stored("srch_other_aim", range(6), objectives=[{"metric": "val_loss", "goal": "minimize"}]),
        stored("srch_other_task", range(6), dataset="diabetes"),
        stored("srch_few", range(LEAST_RESULTS - 1)),
    ]
    found, _ = of(["own", "srch_0"], *fitting, *others)
    assert [one.search for one in found] == ["srch_0", "srch_6", "srch_5", "srch_4", "srch_3"]
    found, warnings = of("own", *others)
    assert not found and warnings == ["nothing_remembered"]


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        ({"scores": range(6), "dataset": "wine"}, "name it in warm_start"),
        ({"scores": range(6), "dataset": "diabetes"}, "/objectives differ"),
        ({"scores": range(3)}, "has 3 distinct results in this space, 5 are needed"),
        (
            {"scores": range(6), "space": {"family": "mlp", "depth": 2, "width": 128}},
            "has 0 distinct results in this space, 5 are needed",
        ),
    ],
)
def test_one_that_is_named_and_does_not_fit_is_refused(
    earlier: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError) as refused:
        of(["srch_none", "srch_a"], stored("srch_a", **earlier))
    first, second = refused.value.problems
    assert (first.pointer, first.message) == ("/memory/0", "there is no search 'srch_none'")
    assert second.pointer == "/memory/1" and reason in second.message


def test_the_request_says_off_own_or_which() -> None:
    assert resolve({**MLP, "memory": "off"}).spec.memory == ()
    assert resolve({**MLP, "memory": "own"}).spec.memory == ("own",)
    document = resolved().spec.to_json()
    assert stored_spec(document).memory == ("srch_a",)
    del document["memory"]
    assert stored_spec(document).memory == (), "an older search remembers nothing"
    assert "/memory" in problems({**MLP, "memory": ["srch_a", "srch_a"]})
    assert "/memory" in problems({**MLP, "memory": 3})
    objectives = [{"metric": "val_accuracy"}, {"metric": "parameters"}]
    told = problems({**MLP, "strategy": {"name": "nsga2"}, "objectives": objectives})
    assert told["/memory"] == "earlier searches rank by one objective, got 2"


def test_a_search_that_remembers_goes_on_and_is_replayed_by_what_was_written_down() -> None:
    """Without its memory the same journal is another search's."""
    memory, _ = of(["srch_a"], stored("srch_a", [n / 20 for n in range(20)]))
    here, journal = resolved(), MemoryJournal()

    def run() -> SearchRun:
        return SearchRun(here.spec, here.space, here.strategy(memory), journal, here.cost)

    def go_on(run: SearchRun, trials: int) -> None:
        for _ in range(trials):
            trial = run.next_trial()
            assert trial is not None
            width = float(trial.candidate.architecture.decisions["layer_1_width"])
            run.complete(trial.number, {"val_accuracy": width / 100, "val_loss": 1.0}, 1.0)

    go_on(run(), 5)
    go_on(run(), 6)
    whole = list(journal.events)
    journal.events.clear()
    go_on(run(), 11)
    proposals = [event.trial.proposal for event in journal.history()]
    assert proposals == [e.trial.proposal for e in whole if hasattr(e, "trial")]
    given = Given(here.spec, here.space, here.strategy(memory))
    assert replay(given, journal.history()).is_same
    alone = Given(here.spec, here.space, here.strategy())
    assert not replay(alone, journal.history()).is_same
