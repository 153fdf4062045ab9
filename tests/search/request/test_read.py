"""One pass over a body, one reading of what was stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from models.proxies import proxies
from models.recipe import RECORDED
from search.predictors import proxy_scores
from search.request.read import Draft, read, stored_spec
from search.request.resolve import SpecError, reopen, resolve
from search.spec import SearchSpec
from tests.search.support.bodies import FULL, MINIMAL, problems

RECIPE: dict[str, Any] = {
    "epochs": 8,
    "batch_size": 64,
    "optimizer": "momentum",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "weight_decay": 0.0,
    "dropout": 0.0,
    "batch_norm": True,
}
OLDER: dict[str, Any] = {
    "name": "digits-cnn_cell-bananas",
    "dataset": "digits",
    "space": {"family": "cnn_cell", "topology": "nasbench201", "channels": 8, "cells": 3},
    "training": RECIPE,
    "strategy": {"name": "bananas", "initial_samples": 10, "candidates": 200},
    "objectives": [{"metric": "val_accuracy", "goal": "maximize"}],
    "constraints": [],
    "proxies": [
        {"name": "snip", "use": "warm_start", "samples": 500, "top": 10, "quantile": 0.5},
        {"name": "naswot", "use": "filter", "samples": 500, "top": 10, "quantile": 0.5},
    ],
    "budget": {"trials": 50, "seconds": None},
    "resources": {
        "parallel_trials": 2,
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "deterministic": False,
        "trial_timeout_seconds": None,
    },
    "final": {"top": 1, "seeds": 3, "epochs": 24, "data": "train"},
    "seed": 0,
}
"""As an early version stored it, before there were fidelity, baselines, warm starts and formats."""


class Counted(Mapping[str, Any]):
    """The proxies, and how often a name was looked for among them: once each time it is parsed."""

    def __init__(self) -> None:
        self.looks = 0

    def __getitem__(self, name: str) -> Any:
        return proxies[name]

    def __iter__(self) -> Iterator[str]:
        return iter(proxies)

    def __len__(self) -> int:
        return len(proxies)

    def __contains__(self, name: object) -> bool:
        self.looks += 1
        return name in proxies


@pytest.mark.parametrize("change", [{}, {"seed": -1}, {"final": {"top": 100, "seeds": 100}}])
def test_a_body_is_parsed_once_whatever_is_wrong_with_it(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    monkeypatch.setattr(proxy_scores, "proxies", counted)
    body = {**MINIMAL, "proxies": [{"name": "snip"}], **change}
    if change:
        problems(body)
    else:
        resolve(body)
    assert counted.looks == 1


def test_what_is_valid_is_known_where_something_else_is_not() -> None:
    draft: Draft[SearchSpec] = read(SearchSpec, {**FULL, "seed": "x", "training": {"epochs": 0}})
    assert draft.broken == {"seed", "training"}
    assert not draft.has("seed", "budget") and draft.has("budget", "space", "strategy")
    assert draft.spec.budget.trials == 30 and draft.spec.space.family == "cnn_cell"
    assert {found.pointer for found in draft.problems} == {"/seed", "/training/epochs"}


@pytest.mark.parametrize("field", SearchSpec.model_fields)
@pytest.mark.parametrize("wrong", ["alone", "all others"])
def test_a_rule_looks_at_no_field_that_is_refused(field: str, wrong: str) -> None:
    """Else it would stumble over what is not there, and the client would get a 500."""
    names = {field} if wrong == "alone" else SearchSpec.model_fields.keys() - {field}
    found = problems({**FULL, **dict.fromkeys(names, object())})
    assert {pointer.split("/")[1] for pointer in found} >= names


def test_a_renamed_word_is_taken_with_a_warning_and_stored_in_the_words_of_today() -> None:
    given = [{"name": "naswot", "use": "report"}, {"name": "snip", "use": "warm_start", "top": 2}]
    body = {**MINIMAL, "proxies": given}
    resolved = resolve(body)
    assert [proxy.use for proxy in resolved.spec.proxies] == ["report", "first"]
    (warning,) = resolved.warnings
    assert warning.to_json() == {
        "code": "deprecated_word",
        "message": '"warm_start" is called "first" now; the next release refuses it',
        "where": "/proxies/1/use",
    }
    assert given[1]["use"] == "warm_start", "what the client sent is not touched"
    stored = resolved.spec.to_json()
    assert [proxy["use"] for proxy in stored["proxies"]] == ["report", "first"]
    assert resolve(stored).warnings == ()
    refused = problems({**MINIMAL, "proxies": [{"name": "snip", "use": "warmstart"}]})
    assert "must be 'first', 'filter' or 'report'" in refused["/proxies/0/use"]


def test_what_an_older_version_stored_keeps_its_meaning() -> None:
    spec = stored_spec(OLDER)
    assert [proxy.use for proxy in spec.proxies] == ["first", "filter"]
    assert (spec.format, spec.fidelity.name, spec.baselines, spec.warm_start) == (1, "none", (), ())
    assert spec.final.patience is None, "that of the recipe"
    assert spec.errors_in == "deviations" and resolve(MINIMAL).spec.errors_in == "own_unit"
    again = spec.to_json()
    assert again["training"] == {**RECORDED, **RECIPE}, "a field it had not is as it was then"
    assert stored_spec(again) == spec
    resolved = reopen(spec)
    assert resolved.space.size == 5**6 and resolved.spec is spec


def test_what_was_stored_is_held_to_no_rule_again() -> None:
    """A rule that comes later ends no search that was taken before it."""
    document = {**resolve(FULL).spec.to_json(), "final": {"top": 100, "seeds": 100, "epochs": 9}}
    assert "/final" in problems(document)
    assert reopen(stored_spec(document)).spec.final.seeds == 100


def test_what_is_not_here_any_more_is_named() -> None:
    with pytest.raises(SpecError, match='/strategy/name: unknown strategy "plugged_in"'):
        stored_spec({**OLDER, "strategy": {"name": "plugged_in"}})
    with pytest.raises(SpecError, match='/dataset: unknown dataset "gone"'):
        reopen(stored_spec({**OLDER, "dataset": "gone"}))
