from pathlib import Path

import numpy as np
import pytest

from search.space import SearchSpace
from service.running.causes import LENGTH, cause
from tests.search.support.runs import Listed, started
from tests.search.support.spaces import letters

LOG = Path("/srv/nasmith/logs/srch_1.log")


class InALibrary(Listed):
    """A strategy whose mistake shows in a library that it calls."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__([])

    def ask(self, number: int, running: object) -> None:  # type: ignore[override]
        np.linalg.inv(np.zeros((2, 2)))


def test_a_cause_names_the_line_of_the_strategy_and_the_log() -> None:
    space = letters(2)
    with pytest.raises(np.linalg.LinAlgError) as caught:
        started(space, InALibrary(space)).next_trial()
    line = InALibrary.ask.__code__.co_firstlineno + 1
    assert cause(caught.value, LOG) == (
        "LinAlgError: Singular matrix "
        f"(tests/service/running/test_causes.py, line {line}; the rest is in logs/srch_1.log)"
    )


def test_a_long_message_leaves_room_for_the_place() -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("a\nb " * LENGTH)
    text = cause(caught.value, LOG)
    assert len(text) == LENGTH and text.startswith("RuntimeError: a b a b")
    assert text.endswith("; the rest is in logs/srch_1.log)")
