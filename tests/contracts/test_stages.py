"""What every stage keeps to, by being in its folder."""

import subprocess
import sys
from collections import Counter

import pytest

from search.engine.journal import MemoryJournal, TrialStarted
from search.engine.stage import Given, Stages, stages, stages_in_order
from search.objectives import Objective
from search.spec import Final
from search.trial_kind import TrialKind, trial_kinds
from service.sql.tables import Trial as TrialRow
from tests.search.support.runs import Listed, candidates, finish, started
from tests.search.support.spaces import letters, spec_of


def test_stages_come_in_the_order_that_they_state() -> None:
    order = stages_in_order()
    assert [stage.phase for stage in order] == ["searching", "baseline", "final", "ensemble"]
    for index, stage in enumerate(order):
        assert {stages[name] for name in stage.after} <= set(order[:index])


def test_every_kind_of_trial_is_of_one_stage() -> None:
    owners = Counter(kind.name for stage in stages.values() for kind in stage.kinds)
    assert owners == Counter(list(trial_kinds))
    assert all(name == kind.name for name, kind in trial_kinds.items())


@pytest.mark.parametrize("name", trial_kinds)
def test_the_name_of_a_kind_fits_its_column(name: str) -> None:
    assert len(name) <= TrialRow.__table__.c.kind.type.length


@pytest.mark.parametrize("right", ["is_told", "stops_early"])
def test_nothing_that_a_search_learns_from_sees_the_test_split(right: str) -> None:
    with pytest.raises(ValueError, match="'peeking' shows it"):
        TrialKind("peeking", sees_test=True, **{right: True})


def test_the_kinds_are_known_without_torch() -> None:
    """The API answers with them, and starts without it."""
    program = (
        "import sys; from search.trial_kind import trial_kinds; print(*trial_kinds); "
        "sys.exit('torch is here' if 'torch' in sys.modules else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split()) == (0, list(trial_kinds)), ended.stderr


@pytest.mark.parametrize("stage", stages_in_order())
def test_a_stage_starts_as_many_trials_as_it_says(stage: type) -> None:
    space, journal = letters(3), MemoryJournal()
    words = [f"{a}{b}{c}" for a in "abc" for b in "abc" for c in "abc"]
    asked = {"baseline": "random", "baselines": ["mlp-100"], "ensemble": {"size": 4}}
    spec = spec_of(4, final=Final(top=2, seeds=3), **asked)
    finish(started(space, Listed(candidates(space, *words)), spec, journal))
    begun = Counter(e.trial.kind for e in journal.events if isinstance(e, TrialStarted))
    assert sum(begun[kind] for kind in stage.kinds) == stage.counts(spec, space.size)


@pytest.mark.parametrize("stage", stages_in_order())
def test_a_stage_that_was_stopped_wants_nothing(stage: type) -> None:
    space = letters(2)
    objectives = (Objective(metric="val_accuracy"),)
    spec = spec_of(4, baseline="random", objectives=objectives)
    begun = Stages(Given(spec, space, Listed(candidates(space, "aa", "ab"))))[stage]
    begun.stop(is_asked_out=True)
    assert not begun.wants
