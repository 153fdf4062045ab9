from search.engine.stages.candidates import MAX_REFUSALS
from search.objectives import Constraint
from search.trial import Candidate, Failure, FailureKind, TrialState
from tests.search.support.runs import (
    Listed,
    Listening,
    candidates,
    cost_by_letters,
    finish,
    started,
    strategy_of,
)
from tests.search.support.spaces import letters, spec_of


def test_what_breaks_a_cost_limit_or_cannot_be_built_is_refused_without_training() -> None:
    space = letters(2)
    spec = spec_of(1, constraints=(Constraint(metric="parameters", max=150),))
    strategy = Listening(Listed(candidates(space, "aa", "ca", "ab")))
    run = started(space, strategy, spec, cost=cost_by_letters)
    finish(run)
    big, unbuilt, good, *finals = run.trials
    assert big.failure == Failure(
        FailureKind.INFEASIBLE, "parameters 200 is above the constraint's max 150"
    )
    assert big.metrics == {"parameters": 200.0}
    assert unbuilt.failure == Failure(
        FailureKind.INFEASIBLE, "c cannot be built, allowed are a and b"
    )
    assert good.state is TrialState.COMPLETED and len(finals) == 2
    assert run.trials_spent == 1
    assert [trial.state.value for trial in strategy.told] == ["failed", "failed", "completed"]


def test_a_cost_that_cannot_be_counted_is_that_trials_failure() -> None:
    def broken(candidate: Candidate) -> dict[str, float]:
        raise RuntimeError("no such kernel")

    space = letters(3)
    spec = spec_of(3, constraints=(Constraint(metric="flops", max=1),))
    run = started(space, strategy_of("random", space), spec, cost=broken)
    assert run.next_trial() is None
    assert run.trials_spent == 3 and run.finished
    assert run.failed_reason == (
        "no trial gave a usable result, most often 3 of 3: error: RuntimeError: no such kernel"
    )


def test_a_limit_that_refuses_everything_ends_the_search_with_the_reason() -> None:
    space = letters(12)
    spec = spec_of(3, constraints=(Constraint(metric="parameters", max=-1),))
    cost = {"parameters": 5.0}
    run = started(space, strategy_of("random", space), spec, cost=lambda candidate: cost)
    assert run.next_trial() is None and run.finished
    assert run.exhausted_reason and f"{MAX_REFUSALS} in a row were refused" in run.exhausted_reason
    assert run.failed_reason == (
        f"no trial gave a usable result, most often {MAX_REFUSALS} of {MAX_REFUSALS}: "
        "infeasible: parameters 5 is above the constraint's max -1"
    )
