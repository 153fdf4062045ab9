"""What a search tries before its strategy is asked."""

from __future__ import annotations

from typing import Any

import pytest

from models.family import families
from models.presets import preset
from search.engine.journal import MemoryJournal
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.stage import Given
from search.request.opening import OF_REQUEST, known_networks, opening
from search.request.read import stored_spec
from search.request.resolve import Resolved, reopen, resolve
from search.strategy import strategies
from tests.search.support.bodies import problems

WINE: dict[str, Any] = {
    "dataset": "wine",
    "space": {"family": "mlp", "depth": {"choice": [0, 1, 2]}},
    "strategy": {"name": "bananas"},
}
IMAGES: dict[str, Any] = {**WINE, "dataset": "digits"}
LINEAR, FAMILY = preset("linear").architecture, families["mlp"]


def names(body: dict[str, Any]) -> list[str]:
    return [suggestion.origin for suggestion in known_networks(resolve(body))]


def proposals(resolved: Resolved, number: int) -> list[tuple[str | None, Any]]:
    """The first of a search whose trials all score the same, proved by a replay."""
    journal, first = MemoryJournal(), opening(resolved, None)
    given = Given(resolved.spec, resolved.space, resolved.strategy(), first)
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost, first
    )
    found = []
    for _ in range(number):
        trial = run.next_trial()
        assert trial is not None
        found.append((trial.origin, trial.candidate.architecture))
        run.complete(trial.number, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
    assert replay(given, journal.history()).is_same
    return found


def test_the_known_networks_of_a_space_come_first_and_the_simple_one_before_all() -> None:
    found = proposals(resolve(WINE), 4)
    assert found[0][0] == "preset:linear"
    assert FAMILY.canonical(found[0][1]) == LINEAR, "it says that numbers have no embedding"
    assert found[1][0] == "preset:tabm" and found[1][1].decisions["members"] == 16
    origin, neighbour = found[2]  # widths are 16 to 256 here, norms and dropout are searched
    assert origin == "preset:mlp-100" and neighbour.decisions["depth"] == 1
    assert neighbour.decisions["members"] == 1, "it says that it is one"
    assert found[3][0] is None


def test_they_take_a_quarter_of_the_budget_at_most() -> None:
    for trials, count in ((3, 0), (4, 1), (8, 2), (50, 3)):
        assert len(names({**WINE, "budget": {"trials": trials}})) == count


@pytest.mark.parametrize(
    ("topology", "wanted"), [("darts", "preset:darts"), ("nasbench201", "preset:nasbench201-best")]
)
def test_a_cell_is_known_in_its_topology_alone(topology: str, wanted: str) -> None:
    assert names({**IMAGES, "space": {"family": "cnn_cell", "topology": topology}}) == [wanted]


def test_known_networks_of_several_families_are_those_for_the_task() -> None:
    """No network for texts is tried on pictures, nearest though it be."""
    found = names({"dataset": "digits", "budget": {"trials": 40}})
    assert found[0] == "preset:lenet-5" and "preset:darts" in found
    assert not {"preset:bert-mini", "preset:gpt-mini"} & set(found)


def test_what_breaks_a_limit_or_is_not_asked_for_is_left_out() -> None:
    assert names({**WINE, "constraints": [{"metric": "parameters", "max": 42}]}) == [
        "preset:linear"  # 13 x 3 + 3
    ]
    assert (
        names({**WINE, "constraints": [{"metric": "parameters", "max": 41}], "force": True}) == []
    )
    assert names({**WINE, "opening": "none"}) == []
    shared = {**IMAGES, "space": {"family": "cnn_cell"}, "strategy": {"name": "darts"}}
    assert names(shared) == []


def test_a_stored_search_of_before_begins_as_it_did() -> None:
    document = resolve(WINE).spec.to_json()
    del document["opening"], document["suggestions"]
    assert known_networks(reopen(stored_spec(document))) == []


def test_the_architectures_of_a_person_come_before_the_known_ones() -> None:
    space = {"family": "mlp", "depth": {"choice": [0, 1]}, "norm": "none", "dropout": 0.0}
    own = preset("mlp-100").architecture.to_json()
    own["decisions"]["layer_1_width"] = 64
    body = {**WINE, "space": space, "suggestions": [own]}
    resolved = resolve(body)
    assert resolve(resolved.spec.to_json()).spec == resolved.spec
    first, second = proposals(resolved, 2)
    own["decisions"] |= {"embedding": "none", "members": 1}  # what it meant by saying nothing
    assert first[0] == OF_REQUEST and first[1].to_json() == own
    assert second[0] == "preset:linear" and FAMILY.canonical(second[1]) == LINEAR


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"suggestions": [{"family": "rnn", "decisions": {}}]}, "/suggestions/0", "is of rnn, the"),
        (
            {"suggestions": [{"family": "mlp", "decisions": {"depth": 7}}]},
            "/suggestions/0",
            "depth",
        ),
        ({"suggestions": [LINEAR.to_json()] * 3}, "/suggestions", "3 suggestions are more than"),
        ({"suggestions": [{"family": "mlp"}]}, "/suggestions/0/decisions", "required"),
        ({"opening": "all"}, "/opening", "known"),
    ],
)
def test_what_cannot_be_tried_first_is_refused(
    change: dict[str, Any], pointer: str, message: str
) -> None:
    assert message in problems({**WINE, "budget": {"trials": 2}, **change})[pointer]


@pytest.mark.parametrize(
    "name", ["bananas", "tpe", "local_search", "regularized_evolution", "nsga2"]
)
def test_a_quarter_of_the_budget_at_most_is_drawn_at_random(name: str) -> None:
    settings = strategies[name].Settings(name=name)
    for trials, drawn in ((4, 2), (15, 3), (36, 9)):
        assert settings.for_budget(trials).model_dump()["initial_samples"] == drawn
    said = type(settings).model_validate({"name": name, "initial_samples": 7})
    assert said.for_budget(4) == said
    body = {**WINE, "strategy": {"name": name}, "budget": {"trials": 15}}
    assert resolve(body).spec.strategy.model_dump()["initial_samples"] == 3


@pytest.mark.parametrize("name", ["regularized_evolution", "nsga2"])
def test_a_population_that_grows_has_children(name: str) -> None:
    """Of a budget of 15 three are drawn, and each later one is a mutation of one told before."""
    body = {
        **IMAGES,
        "space": {"family": "cnn_cell", "topology": "nasbench201", "head_pool": 1},
        "strategy": {"name": name, **({"crossover_probability": 0.0})},
        "budget": {"trials": 15},
        "opening": "none",
    }
    found = [architecture.decisions for _, architecture in proposals(resolve(body), 10)]
    for number, child in enumerate(found[3:], 3):
        distances = [
            sum(parent[name] != value for name, value in child.items()) for parent in found[:number]
        ]
        assert min(distances) <= (1 if name == "regularized_evolution" else 2)
