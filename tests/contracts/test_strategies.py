"""What holds for every strategy: an entry of the registry is tested by existing.

`tests/golden/strategies.json` holds the first proposals of each. They may change only with the
strategy's meaning; `NASMITH_GOLDEN=write pytest tests/contracts/test_strategies.py` writes them.
"""

import json
import os
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from models.architecture import sha256_of
from models.family import families
from models.recipe import Recipe, TrainingSettings
from models.task import Task
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.objectives import Objective, fitness
from search.space import SearchSpace
from search.strategy import Strategy, strategies
from search.streams import OlderSeed
from search.trial import Candidate, Failure, FailureKind, SupernetProposal, Trial, TrialState

GOLDEN = Path(__file__).parents[1] / "golden" / "strategies.json"
OLDER = GOLDEN.with_name("strategies_of_format_1.json")
"""SHA-256 of the same, of searches of format 1: as the last version recorded them that had no other
(`strategies.json` of commit b5ecb1a). They never change."""

OBJECTIVES = (Objective(metric="val_accuracy"), Objective(metric="flops", goal="minimize"))


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return made_space()


@cache
def made_space() -> SearchSpace:
    family = families["cnn_cell"]
    settings = family.Settings.model_validate(
        {"topology": "nasbench201", "channels": {"choice": [8, 16]}}
    )
    training = TrainingSettings.model_validate(
        {
            "optimizer": {"choice": ["momentum", "adam"]},
            "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        }
    )
    return SearchSpace.of_family(
        "cnn_cell", family, settings, training, Task("image_classification", (1, 8, 8), 10)
    )


def told(name: str, space: SearchSpace, history: list[Trial], seed: int = 0) -> Strategy:
    strategy = strategies[name](space, strategies[name].Settings(), seed)
    for trial in history:
        strategy.tell(trial)
    return strategy


def ended(name: str, number: int, proposal: object, state: TrialState) -> Trial:
    """A trial with as many objectives as the strategy can take, scored by its proposal alone. A
    supernet has no score; it derives a network of the space.
    """
    if isinstance(proposal, SupernetProposal):
        has_result = state in (TrialState.COMPLETED, TrialState.CACHED)
        key = sha256_of(proposal.to_json())
        derived = made_space().sample(Random(key)).architecture if has_result else None
        return Trial(number, SUPERNET, proposal, state, key, key, derived=derived)
    assert isinstance(proposal, Candidate)
    score = int(proposal.architecture.key[:8], 16) / 16**8
    metrics = {"val_accuracy": score, "flops": 1e6 * (1 - score)}
    failure = None
    if state in (TrialState.FAILED, TrialState.PRUNED):
        failure = Failure(FailureKind.ERROR, "no luck")
    objectives = OBJECTIVES[: strategies[name].objectives]
    return Trial(
        number,
        CANDIDATE,
        proposal,
        state,
        proposal.architecture.key,
        proposal.recipe.key,
        metrics={} if failure else metrics,
        fitness=None if failure else fitness(metrics, objectives),
        failure=failure,
    )


def state_of(number: int) -> TrialState:
    if number % 7 == 0:
        return TrialState.FAILED
    if number % 11 == 0:
        return TrialState.PRUNED
    return TrialState.CACHED if number % 13 == 0 else TrialState.COMPLETED


@pytest.mark.parametrize("name", strategies)
def test_a_strategy_is_a_function_of_seed_number_and_history(name: str, space: SearchSpace) -> None:
    history: list[Trial] = []
    strategy = told(name, space, history)
    for number in range(150):  # past every default warm-up
        proposal = strategy.ask(number, running=[])
        assert proposal == strategy.ask(number, running=[])
        if number % 10 == 0:
            assert proposal == told(name, space, history).ask(number, running=[])
        if proposal is None:  # with nothing running, it is done
            break
        if isinstance(proposal, Candidate):
            assert space.candidate(space.values(proposal)) == proposal
        history.append(ended(name, number, proposal, state_of(number)))
        strategy.tell(history[-1])
    assert any(isinstance(trial.proposal, Candidate) for trial in history)


@pytest.mark.parametrize("name", strategies)
def test_trials_that_end_out_of_order_are_taken(name: str, space: SearchSpace) -> None:
    strategy, running = told(name, space, []), list[Trial]()
    for number in range(150):
        proposal = strategy.ask(number, tuple(running))
        if proposal is not None:
            running.append(ended(name, number, proposal, TrialState.RUNNING))
        elif not running:
            break
        if len(running) == 5 or proposal is None:
            done = running.pop(number % len(running))
            strategy.tell(ended(name, done.number, done.proposal, state_of(done.number)))
    assert number > 5


@pytest.mark.parametrize("name", strategies)
def test_a_strategy_survives_failures_alone(name: str, space: SearchSpace) -> None:
    strategy = told(name, space, [])
    for number in range(150):
        if (proposal := strategy.ask(number, ())) is None:
            break
        strategy.tell(ended(name, number, proposal, TrialState.FAILED))
    assert number > 0


@pytest.mark.parametrize("name", strategies)
def test_another_seed_is_another_search(name: str, space: SearchSpace) -> None:
    asks = [
        [told(name, space, [], seed).ask(number, ()) for number in range(10)] for seed in (0, 1)
    ]
    assert asks[0] != asks[1]
    assert len(set(map(repr, asks[0]))) > 1


@pytest.mark.parametrize("name", strategies)
def test_settings_are_described_and_refuse_what_they_do_not_know(name: str) -> None:
    settings = strategies[name].Settings
    schema = settings.model_json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(settings().model_dump(mode="json"))
    assert schema["additionalProperties"] is False
    for field, described in schema["properties"].items():
        assert field == "name" or described.get("description"), f"{name}.{field} says nothing"
    with pytest.raises(ValidationError):
        settings.model_validate({"no_such_setting": 1})


@pytest.mark.parametrize("name", strategies)
def test_a_strategy_says_how_many_objectives_it_takes_and_what_it_is(name: str) -> None:
    assert strategies[name].objectives >= 1
    assert strategies[name].__doc__ and strategies[name].Settings.__doc__


def first_proposals(name: str, space: SearchSpace, seed: int = 0) -> list[Any]:
    """What a strategy asks for first, without the recipe's fixed values."""
    strategy, proposals = told(name, space, [], seed), []
    defaults = Recipe().model_dump(mode="json")
    for number in range(40):
        proposal = strategy.ask(number, ())
        if proposal is None:
            break
        strategy.tell(ended(name, number, proposal, state_of(number)))
        document = proposal.to_json()
        if isinstance(proposal, Candidate):
            document["recipe"] = {k: v for k, v in document["recipe"].items() if v != defaults[k]}
        proposals.append(document)
    return proposals


def test_the_first_proposals_are_those_of_the_golden_record(space: SearchSpace) -> None:
    proposals = {name: first_proposals(name, space) for name in strategies}
    if os.environ.get("NASMITH_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(proposals, indent=1, sort_keys=True) + "\n")
    assert json.loads(GOLDEN.read_text()) == proposals


def test_a_search_of_format_1_goes_on_as_it_began(space: SearchSpace) -> None:
    found = {name: sha256_of(first_proposals(name, space, OlderSeed(0))) for name in strategies}
    recorded = json.loads(OLDER.read_text())
    assert {name: found[name] for name in recorded} == recorded
