from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from sqlalchemy import select, update

from search.engine.control import Orders
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.replay import replay
from search.engine.stage import Given
from search.engine.stages.candidates import CANDIDATE
from search.request.resolve import resolve
from search.request.screening import Screening
from search.strategies.random import RandomSearch
from search.trial import Candidate, Trial, TrialState
from service.running.driver import PUBLISHING_SECONDS, ClientControl, Driver
from service.running.exits import Exit
from service.running.lease_keeper import LeaseKeeper
from service.running.space import Space
from service.settings import ServiceSettings
from service.sql.database import Sessions, connect
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.ledger import Ledger
from service.sql.queue import Queue
from service.sql.tables import Event, Search
from service.sql.tables import Trial as TrialRow
from tests.service.support.collector import collecting
from tests.service.support.rows import add_search, read_search

BODY: dict[str, Any] = {
    "dataset": "digits",
    "baselines": [],
    "space": {"family": "cnn_cell", "nodes": 2, "channels": 4, "cells": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "strategy": {"name": "random"},
    "budget": {"trials": 3},
    "final": {"top": 1, "seeds": 1, "epochs": 1},
}

ALONE = {"parallel_trials": 1}
"""For tests of what is not about several workers, each of which imports for seconds here."""


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False
    )
    yield
    ray.shutdown()


@pytest.fixture
def sessions(settings: ServiceSettings) -> Iterator[Sessions]:
    sessions = connect(settings.database_url)
    yield sessions
    sessions.engine.dispose()


def submit(sessions: Sessions, **changes: Any) -> str:
    resolved = resolve({**BODY, **changes})
    return add_search(
        sessions,
        spec=resolved.spec.to_json(),
        dataset_fingerprint=resolved.dataset.fingerprint,
        trials_total=resolved.spec.budget.trials,
    )


def drive(settings: ServiceSettings, sessions: Sessions) -> tuple[Exit, Search]:
    claim = Queue(sessions, settings.lease_seconds).claim("me")
    assert claim is not None
    code = Driver(settings, sessions, claim).run()
    return code, read_search(sessions, claim.search_id)


def trials_of(sessions: Sessions) -> list[TrialRow]:
    with sessions.read() as session:
        return list(session.scalars(select(TrialRow).order_by(TrialRow.number)))


@pytest.mark.slow
def test_a_search_runs_to_a_published_bundle(
    local_ray: None, settings: ServiceSettings, sessions: Sessions
) -> None:
    proxies = [{"name": "synflow", "samples": 12, "top": 2}, {"name": "snip", "use": "report"}]
    submit(sessions, baseline="random", proxies=proxies, resources=ALONE)
    with collecting() as collector:
        traced = settings.model_copy(update={"otel_endpoint": collector.url})
        code, search = drive(traced, sessions)
    assert (code, search.state, search.state_reason) == (Exit.DONE, "succeeded", None)
    assert (search.trials_done, search.baseline_done, search.lease_owner) == (3, 3, None)
    assert search.best is not None
    kinds = [(trial.kind, trial.state) for trial in trials_of(sessions)]
    stages = [(kind, "completed") for kind in ["candidate"] * 3 + ["baseline"] * 3 + ["final"]]
    assert kinds == stages
    candidates = trials_of(sessions)[:3]
    assert [trial.origin for trial in candidates] == ["proxy:synflow", "proxy:synflow", None]
    assert all({"synflow", "snip"} <= trial.metrics.keys() for trial in candidates)
    resolved = resolve(search.spec)
    screening = Screening.of(resolved)
    assert screening is not None
    claim = Claim(search.id, 1, "me")
    history = SqlJournal(sessions, claim, lambda: 0.0).history()
    given = Given(resolved.spec, resolved.space, resolved.strategy(), screening.suggestions)
    assert replay(given, history).is_same
    traced_kinds = [span.name for span in collector.spans]
    assert sorted(traced_kinds) == sorted(["search", *(f"trial {kind}" for kind, _ in kinds)])
    (whole,) = collector.named("search")
    assert whole.trace_id == search.id.partition("_")[2].replace("-", "")
    assert whole.attributes["nasmith.search.state"] == "succeeded"
    assert {span.parent_id for span in collector.spans} == {"", whole.span_id}
    published = Ledger(sessions, claim).published()
    (path,) = published.values()
    assert (Path(settings.home) / path).is_file()
    with sessions.read() as session:
        types = session.scalars(select(Event.type).order_by(Event.sequence)).all()
    assert types[-2:] == ["bundle.published", "search.succeeded"]


@pytest.mark.slow
def test_a_strategy_that_raises_fails_the_search_with_the_cause(
    local_ray: None,
    settings: ServiceSettings,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one with a bug does, after its first proposal."""
    ask = RandomSearch.ask

    def raising(self: RandomSearch, number: int, running: Sequence[Trial]) -> Candidate:
        if number > 0:
            return 1 // 0  # type: ignore[return-value]
        return ask(self, number, running)

    monkeypatch.setattr(RandomSearch, "ask", raising)
    submit(sessions)
    code, search = drive(settings, sessions)
    assert (code, search.state) == (Exit.DONE, "failed")
    line = raising.__code__.co_firstlineno + 2
    assert search.state_reason == (
        "ZeroDivisionError: integer division or modulo by zero "
        f"(tests/service/running/test_driver.py, line {line}; the rest is in logs/{search.id}.log)"
    )
    assert all(trial.state != "running" for trial in trials_of(sessions))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_time_budget_counts_what_earlier_owners_used(
    local_ray: None, settings: ServiceSettings, sessions: Sessions
) -> None:
    """One trial was done in 100 s of a budget of 50: nothing but the final training is left."""
    search_id = submit(sessions, budget={"trials": 50, "seconds": 50}, resources=ALONE)
    claim = Queue(sessions).claim("earlier")
    assert claim is not None
    resolved = resolve(read_search(sessions, search_id).spec)
    proposal = resolved.strategy().ask(0, ())
    architecture_key, recipe_key = resolved.space.keys(proposal)  # type: ignore[arg-type]  # random asks candidates
    trial = Trial(0, CANDIDATE, proposal, TrialState.RUNNING, architecture_key, recipe_key)
    journal = SqlJournal(sessions, claim, lambda: 100.0)
    journal.append(TrialStarted(trial, told=0))
    metrics = {"val_accuracy": 0.5, "val_loss": 1.0}
    ended = replace(trial, state=TrialState.COMPLETED, metrics=metrics, fitness=(0.5,))
    journal.append(TrialEnded(ended))
    Queue(sessions).release(claim)

    _, search = drive(settings, sessions)
    assert (search.state, search.state_reason) == ("succeeded", None)
    done = [trial for trial in trials_of(sessions) if trial.kind == "candidate"]
    assert [trial.state for trial in done if trial.number == 0] == ["completed"]
    assert all((trial.failure or {}).get("kind") == "budget" for trial in done[1:])
    assert search.elapsed_seconds > 100


@pytest.mark.slow
def test_a_search_is_paused_for_want_of_space_and_goes_on_when_there_is(
    local_ray: None, settings: ServiceSettings, sessions: Sessions
) -> None:
    search_id = submit(sessions)
    settings.home.mkdir()
    full = settings.model_copy(update={"disk_reserve_bytes": 2**60})  # no disk has so much
    assert Space(full).shortage() is not None and Space(settings).shortage() is None
    code, search = drive(full, sessions)
    assert (code, search.state, search.lease_owner) == (Exit.DONE, "paused", None)
    reason = f"waiting for space: {settings.home} has less than 1,099,511,627,776 MiB free"
    assert search.state_reason == reason
    queue = Queue(sessions)
    assert queue.go_on("waiting for a miracle") == [] and queue.claim("me") is None
    assert queue.go_on("waiting for space") == [search_id]
    claim = queue.claim("me")
    assert claim is not None and claim.search_id == search_id
    with sessions.read() as session:
        types = session.scalars(select(Event.type).order_by(Event.sequence)).all()
    assert [t for t in types if t.startswith("search.")] == [
        "search.running",
        "search.paused",
        "search.queued",
        "search.running",
    ]


def test_a_cancel_that_came_before_the_driver_needs_no_engine(
    settings: ServiceSettings, sessions: Sessions
) -> None:
    search_id = submit(sessions)
    with sessions.begin() as session:
        session.execute(update(Search).where(Search.id == search_id).values(requested="cancel"))
    code, search = drive(settings, sessions)
    assert (code, search.state) == (Exit.DONE, "cancelled")
    assert trials_of(sessions) == []


@pytest.mark.slow
def test_a_dataset_that_changed_ends_the_search_with_the_reason(
    local_ray: None, settings: ServiceSettings, sessions: Sessions
) -> None:
    search_id = submit(sessions)
    with sessions.begin() as session:
        session.execute(
            update(Search).where(Search.id == search_id).values(dataset_fingerprint="f" * 64)
        )
    _, search = drive(settings, sessions)
    assert search.state == "failed"
    assert search.state_reason == "the dataset 'digits' has changed since the search was posted"


def test_a_spec_that_cannot_run_ends_the_search_with_the_reason(
    settings: ServiceSettings, sessions: Sessions
) -> None:
    resolved = resolve(BODY)
    spec = {**resolved.spec.to_json(), "dataset": "gone"}
    add_search(sessions, spec=spec, dataset_fingerprint=resolved.dataset.fingerprint)
    _, search = drive(settings, sessions)
    assert search.state == "failed"
    assert "gone" in (search.state_reason or "")


def test_orders_follow_what_clients_change(settings: ServiceSettings, sessions: Sessions) -> None:
    search_id = submit(sessions, budget={"trials": 3, "seconds": 60}, baselines="simple")
    queue = Queue(sessions)
    claim = queue.claim("me")
    assert claim is not None
    queue.heartbeat(claim, elapsed_seconds=20.0)
    keeper = LeaseKeeper(queue, claim, queue.requests(claim))
    before = keeper.stopwatch.elapsed()
    control = ClientControl(keeper, Space(settings))
    seconds = control.orders().seconds
    assert seconds is not None and before >= 20, "of an earlier owner"
    assert keeper.stopwatch.elapsed() >= 60 - PUBLISHING_SECONDS - 60 / 10 - seconds >= before
    assert control.orders() == Orders("run", trials=3, seconds=seconds, parallel_trials=2)
    with sessions.begin() as session:
        search = session.get_one(Search, search_id)
        search.requested = "pause"
        search.spec = {
            **search.spec,
            "budget": {"trials": 9, "seconds": None},
            "resources": {**search.spec["resources"], "parallel_trials": 1},
        }
    keeper.start()
    expected = Orders("pause", trials=9, seconds=float("inf"), parallel_trials=1)
    deadline = time.monotonic() + 10
    while control.orders() != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert control.orders() == expected
    keeper.close()
    keeper.join()
