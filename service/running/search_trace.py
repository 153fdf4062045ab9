"""The trace of a search: a span for each driver that has it, and below it one for each trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from search.engine.journal import (
    Event,
    Journal,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.trial import Trial, TrialState
from service.settings import ServiceSettings
from service.sql.lease import Claim
from service.sql.states import SearchState
from service.tracing import Traces


class SearchTrace:
    """Begins on construction, with the driver of a claim."""

    def __init__(self, settings: ServiceSettings, claim: Claim) -> None:
        self._traces = Traces(settings, "driver", claim.search_id)
        self._tracer = self._traces.tracer
        self._span = self._tracer.start_span(
            "search",
            attributes={
                "nasmith.search.id": claim.search_id,
                "nasmith.search.claim": claim.token,
            },
        )
        self._trials: dict[int, Span] = {}

    def of(self, journal: Journal) -> Journal:
        """The journal, whose trials are in the trace as well."""
        return journal if self._traces.provider is None else TracedJournal(journal, self)

    def settled(self, state: SearchState, reason: str | None = None) -> None:
        self._span.set_attribute("nasmith.search.state", state.value)
        if state is SearchState.FAILED:
            self._span.set_status(Status(StatusCode.ERROR, reason))

    def close(self, code: int) -> None:
        """The driver ends with this code. Trials that still run are told as such."""
        self._span.set_attribute("nasmith.driver.exit", code)
        for span in [*self._trials.values(), self._span]:
            span.end()
        self._trials.clear()
        self._traces.close()

    def told(self, event: Event) -> None:
        """What was written into the journal."""
        match event:
            case TrialStarted(trial):
                self._trials[trial.number] = self._begin(trial, time.time_ns())
            case TrialPaused(number) | TrialResumed(number):
                if number in self._trials:
                    name = "trial.paused" if isinstance(event, TrialPaused) else "trial.resumed"
                    self._trials[number].add_event(name)
            case TrialEnded(trial):
                now = time.time_ns()
                span = self._trials.pop(trial.number, None)
                if span is None:  # answered at once, or begun by an earlier driver
                    span = self._begin(trial, now - round(trial.seconds * 1e9))
                _finish(span, trial)
                span.end(now)

    def _begin(self, trial: Trial, started: int) -> Span:
        return self._tracer.start_span(
            f"trial {trial.kind}",
            context=set_span_in_context(self._span),
            start_time=started,
            attributes={
                "nasmith.trial.number": trial.number,
                "nasmith.trial.kind": trial.kind.name,
                "nasmith.trial.state": trial.state.value,
                "nasmith.trial.architecture_key": trial.architecture_key,
            },
        )


class TracedJournal:
    """A journal that tells a trace what it has written: what is not committed did not happen."""

    def __init__(self, journal: Journal, trace: SearchTrace) -> None:
        self._journal, self._trace = journal, trace

    def append(self, event: Event) -> None:
        self._journal.append(event)
        self._trace.told(event)

    def history(self) -> Sequence[TrialStarted | TrialEnded]:
        return self._journal.history()

    def full_history(self) -> Sequence[Event]:
        return self._journal.full_history()


def _finish(span: Span, trial: Trial) -> None:
    failure = trial.failure
    attributes: Mapping[str, str | float | None] = {
        "nasmith.trial.state": trial.state.value,
        "nasmith.trial.seconds": trial.seconds,
        "nasmith.trial.worker": trial.worker,
        "nasmith.trial.failure": None if failure is None else failure.kind.value,
    }
    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(name, value)
    if trial.state is TrialState.FAILED:
        span.set_status(Status(StatusCode.ERROR, None if failure is None else failure.message))
