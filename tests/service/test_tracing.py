"""Traces arrive at a real collector, in the protocol that it speaks; without one none is made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.journal import (
    EpochReported,
    MemoryJournal,
    TrialEnded,
    TrialPaused,
    TrialResumed,
    TrialStarted,
)
from search.engine.stages.candidates import CANDIDATE
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from service.api.app import create_app
from service.commands import findings
from service.running.search_trace import SearchTrace
from service.settings import ServiceSettings
from service.sql.database import migrate
from service.sql.lease import Claim
from service.sql.states import SearchState
from service.tracing import Traces
from tests.service.support.collector import collecting

SEARCH = "srch_0199e1a0-7c21-7def-8123-456789abcdef"


def test_a_request_is_a_span_by_its_route(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = ServiceSettings(home=tmp_path, otel_endpoint=collector.url)
        migrate(settings.database_url)
        with TestClient(create_app(settings), "http://localhost") as client:
            parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
            path = f"/v1/searches/{SEARCH}"
            assert client.get(path, headers={"traceparent": parent}).status_code == 404
            assert client.get("/healthz").status_code == 200
        (span,) = collector.spans
    assert collector.paths == ["/v1/traces"]
    assert span.name == "GET /v1/searches/{search_id}"
    assert (span.trace_id, span.parent_id) == ("ab" * 16, "cd" * 8)  # the client's trace goes on
    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["url.path"] == path
    assert span.resource["service.name"] == "nasmith-server"
    assert span.resource["nasmith.role"] == "api"


def trial(number: int) -> Trial:
    candidate = Candidate(Architecture("cnn_cell", {"channels": 4}), Recipe())
    return Trial(number, CANDIDATE, candidate, TrialState.RUNNING, architecture_key=str(number) * 8)


def test_a_search_is_one_trace_whoever_goes_on_with_it(tmp_path: Path) -> None:
    failure = Failure(FailureKind.NON_FINITE, "the loss is NaN")
    with collecting() as collector:
        settings = ServiceSettings(home=tmp_path, otel_endpoint=collector.url)
        kept = MemoryJournal()
        first = SearchTrace(settings, Claim(SEARCH, 1, "me"))
        journal = first.of(kept)
        journal.append(TrialStarted(trial(0), told=0))
        journal.append(EpochReported(0, 1, {"val_loss": 1.0}))
        journal.append(TrialPaused(0, 1, 0.5))
        journal.append(TrialResumed(0))
        journal.append(TrialStarted(trial(1), told=0))
        result = {"val_accuracy": 0.5}
        done = replace(trial(0), state=TrialState.COMPLETED, metrics=result, seconds=0.5)
        journal.append(TrialEnded(done))
        first.close(0)
        second = SearchTrace(settings, Claim(SEARCH, 2, "me"))
        journal = second.of(kept)
        failed = replace(trial(1), state=TrialState.FAILED, failure=failure, seconds=12.0)
        journal.append(TrialEnded(failed))
        second.settled(SearchState.FAILED, "no trial gave a usable result")
        second.close(0)
    assert len(journal.history()) == 4 and len(journal.full_history()) == 7
    assert {span.trace_id for span in collector.spans} == {SEARCH[5:].replace("-", "")}
    one, two = collector.named("search")
    assert [span.attributes["nasmith.search.claim"] for span in (one, two)] == [1, 2]
    assert (one.parent_id, one.error) == ("", None)
    assert two.error == "no trial gave a usable result"
    assert two.attributes["nasmith.search.state"] == "failed"
    assert two.resource["nasmith.role"] == "driver"
    spans = [(s.parent_id, s.attributes) for s in collector.named("trial candidate")]
    assert [
        (parent, found["nasmith.trial.number"], found["nasmith.trial.state"])
        for parent, found in spans
    ] == [
        (one.span_id, 0, "completed"),
        (one.span_id, 1, "running"),  # it ended with another driver
        (two.span_id, 1, "failed"),
    ]
    completed, _, ended = collector.named("trial candidate")
    assert completed.events == ["trial.paused", "trial.resumed"]
    assert ended.seconds == pytest.approx(12.0, abs=1e-6)  # it began before this driver did
    assert ended.attributes["nasmith.trial.failure"] == "non_finite"
    assert ended.error == "the loss is NaN"


def test_what_is_not_committed_is_not_told(tmp_path: Path) -> None:
    class Refusing(MemoryJournal):
        def append(self, event: Any) -> None:
            raise RuntimeError("the search has another owner")

    with collecting() as collector:
        settings = ServiceSettings(home=tmp_path, otel_endpoint=collector.url)
        trace = SearchTrace(settings, Claim(SEARCH, 1, "me"))
        with pytest.raises(RuntimeError, match="another owner"):
            trace.of(Refusing()).append(TrialStarted(trial(0), told=0))
        trace.close(3)
    assert [(span.name, span.attributes["nasmith.driver.exit"]) for span in collector.spans] == [
        ("search", 3)
    ]


def test_a_collector_that_is_away_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("service.tracing.FLUSH_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = ServiceSettings(home=tmp_path, otel_endpoint=url)
        trace = SearchTrace(settings, Claim(SEARCH, 1, "me"))
        trace.of(MemoryJournal()).append(TrialStarted(trial(0), told=0))
        trace.close(0)
        assert findings.traces(settings).status == "warn"


def test_without_an_endpoint_nothing_is_traced_or_imported(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from service.running.search_trace import SearchTrace
        from service.settings import ServiceSettings
        from service.sql.lease import Claim
        from service.tracing import Traces, of_requests
        settings = ServiceSettings(home=Path(sys.argv[1]))
        trace, journal = SearchTrace(settings, Claim("srch_x", 1, "me")), object()
        assert trace.of(journal) is journal
        trace.close(0)
        assert of_requests(Traces(settings, "api"))["tracing"] is False
        assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        env={name: value for name, value in os.environ.items() if "OTEL" not in name},
        check=True,
    )


def test_the_standard_variable_names_the_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert ServiceSettings(home=tmp_path).otel_endpoint == ""
    assert findings.traces(ServiceSettings(home=tmp_path)).status == "ok"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert ServiceSettings(home=tmp_path).otel_endpoint == "http://127.0.0.1:4318"
    own = ServiceSettings(home=tmp_path, otel_endpoint="http://127.0.0.1:4319")
    assert own.otel_endpoint == "http://127.0.0.1:4319"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "nas")
    traces = Traces(own, "api")
    assert traces.provider is not None
    assert traces.provider.resource.attributes["service.name"] == "nas"
    traces.close()


def test_an_endpoint_that_is_no_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is no URL of a collector"):
        ServiceSettings(home=tmp_path, otel_endpoint="127.0.0.1:4317")
