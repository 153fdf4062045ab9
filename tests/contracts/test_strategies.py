"""A strategy is tested by existing: `search.testing.strategies` says what holds for each.

`tests/golden/strategies.json` holds the first proposals of each. They may change only with the
strategy's meaning; `NASMITH_GOLDEN=write pytest tests/contracts/test_strategies.py` writes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.architecture import sha256_of
from models.recipe import Recipe
from search.strategy import strategies
from search.streams import OlderSeed
from search.testing.strategies import CHECKS, ended, state_of, told
from search.trial import Candidate

GOLDEN = Path(__file__).parents[1] / "golden" / "strategies.json"
OLDER = GOLDEN.with_name("strategies_of_format_1.json")
"""SHA-256 of the same, of searches of format 1: as the last version recorded them that had no other
(`strategies.json` of commit b5ecb1a). They never change."""


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", strategies)
def test_a_strategy(name: str, check: Callable[[str], None]) -> None:
    check(name)


def first_proposals(name: str, seed: int = 0) -> list[Any]:
    """What a strategy asks for first, without the recipe's fixed values."""
    strategy, proposals = told(name, [], seed), []
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


def test_the_first_proposals_are_those_of_the_golden_record() -> None:
    proposals = {name: first_proposals(name) for name in strategies}
    if os.environ.get("NASMITH_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(proposals, indent=1, sort_keys=True) + "\n")
    assert json.loads(GOLDEN.read_text()) == proposals


def test_a_search_of_format_1_goes_on_as_it_began() -> None:
    found = {name: sha256_of(first_proposals(name, OlderSeed(0))) for name in strategies}
    recorded = json.loads(OLDER.read_text())
    assert {name: found[name] for name in recorded} == recorded
