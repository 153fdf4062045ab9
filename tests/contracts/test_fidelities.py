"""A fidelity rule is tested by existing: `search.testing.fidelities` says what holds for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from search.fidelity import fidelities
from search.testing.fidelities import check_determinism, check_endings, check_settings


@pytest.mark.parametrize("check", [check_endings, check_determinism, check_settings])
@pytest.mark.parametrize("name", fidelities)
def test_a_fidelity_rule(name: str, check: Callable[[str], None]) -> None:
    check(name)
