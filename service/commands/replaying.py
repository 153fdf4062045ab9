"""A search repeated from what REST says of it: the same strategy, asked and told again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from models.task import Task
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.replay import replay
from search.engine.stage import Given
from search.memory import Memory
from search.request.dataset_facts import DatasetFacts, Lookup, named_facts
from search.request.opening import opening
from search.request.resolve import reopen
from search.request.screening import Screening
from search.spec import SearchSpec
from search.trial import Trial


def replayed(
    spec: SearchSpec,
    trials: Iterable[Mapping[str, Any]],
    lookup: Lookup = named_facts,
    memory: Memory = (),
) -> dict[str, Any]:
    """Whether the strategy of `spec` proposes the same again, told the same in the same order.

    `memory` is what the search remembers. `format` is that of its streams (`search.streams`);
    `asks` proposals were repeated, `differences` of them came out otherwise; `difference` is the
    first of these, or why the record contradicts itself.

    Raises:
        search.problems.SpecError: the search cannot be reopened here.
    """
    resolved = reopen(spec, lookup)
    answer: dict[str, Any] = {"format": resolved.spec.format}
    suggestions = opening(resolved, Screening.of(resolved))
    given = Given(resolved.spec, resolved.space, resolved.strategy(memory), suggestions)
    try:
        proof = replay(given, history(trials))
    except ValueError as error:
        return {**answer, "asks": 0, "differences": 1, "difference": {"reason": str(error)}}
    first = None
    if proof.differences:
        found = proof.differences[0]
        first = {
            "reason": f"trial {found.number} is another proposal",
            "trial": found.number,
            "recorded": found.recorded.to_json(),
            "replayed": found.replayed and found.replayed.to_json(),
        }
    asks, differences = proof.asks, len(proof.differences)
    return {**answer, "asks": asks, "differences": differences, "difference": first}


def history(documents: Iterable[Mapping[str, Any]]) -> list[TrialStarted | TrialEnded]:
    """The starts and ends of trials in the order of their events."""
    events: list[tuple[int, TrialStarted | TrialEnded]] = []
    for document in documents:
        trial, running = Trial.from_json(document), tuple(document["asked_running"])
        first, last = document["started_sequence"], document["ended_sequence"]
        if first != last:
            asked = TrialStarted(trial.as_started(), document["asked_after"], running)
            events.append((first, asked))
        if last is not None:
            events.append((last, TrialEnded(trial)))
    events.sort(key=lambda numbered: numbered[0])
    return [event for _, event in events]


def facts_from(document: Mapping[str, Any]) -> DatasetFacts:
    """What REST says of a dataset; of one that is no table, all that a space needs to know."""
    name = str(document["name"])
    if document["source"] == "named":
        return named_facts(name)
    task = Task.from_json({**document, "name": document["task"]})
    return DatasetFacts(task, document["samples"], document["fingerprint"], name)
