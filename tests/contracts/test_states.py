"""States and kinds are spelled once, and a search comes into another state in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nasmith.states
from search.trial import TrialState
from search.trial_kind import trial_kinds
from service.sql import states
from service.sql.events import STATE_EVENTS
from tests.support.imports import ROOT

ALSO_WORDS = {"supernet", "final", "baseline", "ensemble"}
"""Kinds that are names of other things as well: fields of the request, groups of metrics."""

WORDS = {str(word) for word in (*TrialState, *states.SearchState, *trial_kinds)} - ALSO_WORDS


def files(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def spelled(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The words that stand in strings of their own, but for the members of an enumeration and the
    name of a kind where it is registered.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and "StrEnum" in map(ast.unparse, node.bases):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TrialKind":
            continue
        if isinstance(node, ast.Constant) and node.value in WORDS:
            yield node.lineno, node.value
        yield from spelled(node)


@pytest.mark.parametrize("package", ["models", "search", "service", "nasmith"])
def test_no_state_or_kind_is_a_string_of_its_own(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} spells {word!r}"
        for path in files(package)
        for line, word in spelled(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_the_walk_sees_a_word() -> None:
    source = 'class A(StrEnum):\n    B = "running"\nif x == "paused":\n    y = Literal["queued"]\n'
    assert list(spelled(ast.parse(source))) == [(3, "paused"), (4, "queued")]


def writes_of_states(path: Path) -> Iterator[int]:
    """Lines that assign the state of a row, or change it by a statement on searches."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, ast.Attribute)]
            if any(target.attr == "state" for target in targets):
                yield node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = {keyword.arg for keyword in node.keywords}
            is_change = node.func.attr == "values" and "update(Search)" in ast.unparse(node.func)
            if (is_change and "state" in names) or (
                node.func.attr == "change" and "state" in names
            ):
                yield node.lineno


def test_a_search_comes_into_another_state_in_one_place() -> None:
    found = {
        str(path.relative_to(ROOT)) for path in files("service") for _ in writes_of_states(path)
    }
    assert found == {"service/sql/transitions.py"}


def test_the_client_names_the_states_as_the_server_does() -> None:
    ours = {state.name: state.value for state in nasmith.states.SearchState}
    assert ours == {state.name: state.value for state in states.SearchState}
    assert {str(state) for state in nasmith.states.ENDED} == {str(state) for state in states.ENDED}


def test_every_state_of_a_search_has_its_event_and_its_place_in_the_table() -> None:
    assert set(STATE_EVENTS) == set(states.NEXT) == set(states.SearchState)
    assert {state for state, following in states.NEXT.items() if not following} == states.ENDED
