"""A search whose results are looked up in a table: the whole service, without training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from nasmith.commands.output import UsageError
from search.engine.journal import TrialEnded, TrialStarted
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.tabular import Table, TableEvaluator
from search.request.read import stored_spec
from search.spec import SearchSpec
from search.strategy import strategies
from search.trial import Candidate, Trial
from service.commands.replay import own_facts
from service.commands.replaying import replayed
from service.running.driver import Driver
from service.running.exits import Exit
from service.settings import ServiceSettings
from service.sql.batched_journal import BatchedJournal
from service.sql.database import Sessions, connect
from service.sql.journal import SqlJournal
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Event
from tests.service.support.requests import problem
from tests.service.support.rows import add_search, read_search
from tests.service.support.tables import table_file

BODY: dict[str, Any] = {
    "dataset": "cells",
    "strategy": {"name": "regularized_evolution", "population_size": 10, "sample_size": 5},
    "budget": {"trials": 30},
    "final": {"top": 2},
}


def test_a_table_is_searched_from_upload_to_report(
    app: FastAPI,
    client: TestClient,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields, file = {"name": "cells", "task": "table"}, ("cells.npz", table_file())
    added = client.post("/v1/datasets", data=fields, files={"file": file})
    assert added.status_code == 201, added.text
    assert added.json()["samples"] == {"rows": 120} and added.json()["input_shape"] is None

    dry = client.post("/v1/searches?dry_run=true", json=BODY).json()
    assert (dry["size"], dry["epochs"], dry["training_flops"]) == (125, 0, None)
    wrong = {**BODY, "training": {"epochs": 3}, "objectives": [{"metric": "final_score"}],
             "final": {"seeds": 3}}  # fmt: skip
    errors = problem(client.post("/v1/searches", json=wrong), 422)["errors"]
    assert {error["pointer"] for error in errors} == {
        "/training/epochs", "/objectives/0/metric", "/final/seeds",
    }  # fmt: skip
    scored = {"dataset": "cells", "strategy": {"name": "bananas", "proxies": ["naswot"]}}
    (error,) = problem(client.post("/v1/searches", json=scored), 422)["errors"]
    assert (error["pointer"], error["detail"]) == (
        "/strategy/proxies", "a table has no networks to score",
    )  # fmt: skip
    space = {"space": {"family": "cnn_cell"}, "dataset": "cells"}
    problem(client.post("/v1/search-spaces/validate", json=space), 422)

    response = client.post("/v1/searches", json={**BODY, "baseline": "random"})
    assert response.status_code == 202, response.text
    search_id = response.json()["id"]
    claim = Queue(app.state.sessions).claim("me")
    assert claim is not None
    assert Driver(settings, app.state.sessions, claim).run() is Exit.DONE

    search = client.get(f"/v1/searches/{search_id}").json()
    assert (search["state"], search["name"]) == ("succeeded", "cells-regularized_evolution")
    progress = search["progress"]
    assert progress["trials_done"] == progress["baseline_done"] == 30
    trials = client.get(f"/v1/searches/{search_id}/trials?page_size=100").json()["items"]
    monkeypatch.setenv("NASMITH_DATABASE_URL", settings.database_url)
    lookup = partial(own_facts, settings.home, search_id)
    assert replayed(stored_spec(search["spec"]), trials, lookup)["difference"] is None
    with pytest.raises(UsageError, match="the data of 'cells' are needed"):
        own_facts(settings.home, "srch_elsewhere", "cells")
    again = client.post("/v1/searches?dry_run=true", json={**BODY, "warm_start": [search_id]})
    assert again.json()["warm_start_trials"] == 30
    best, second = client.get(f"/v1/searches/{search_id}/best").json()["items"]
    decisions = best["architecture"]["decisions"]
    score = 25 * decisions["a"] + 5 * decisions["b"] + decisions["c"]
    assert best["search_metrics"] == {"search_score": score, "parameters": score}
    assert best["final_metrics"]["final_score"]["mean"] == score / 2
    assert second["search_metrics"]["search_score"] < score
    assert client.get(f"/v1/searches/{search_id}/report").status_code == 200
    asked = client.post(f"/v1/searches/{search_id}/best/predict", json={"rows": [{"a": 1}]})
    for refused in (client.get(f"/v1/searches/{search_id}/best/bundle"), asked):
        assert "trained no network: none can predict" in problem(refused, 409)["detail"]
    with app.state.sessions.read() as session:
        numbers = session.scalars(select(Event.sequence).order_by(Event.sequence)).all()
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 90


def search_run(
    sessions: Sessions, folder: Path, stop_at: int | None = None, **batches: Any
) -> tuple[SearchRun, BatchedJournal]:
    """The search of the only row, whose strategy breaks at the ask `stop_at`."""
    (folder / "t.npz").write_bytes(table_file())
    table = Table.load(folder / "t.npz")
    spec = SearchSpec.model_validate(
        {**BODY, "space": {"family": "table"}, "objectives": [{"metric": "search_score"}]}
    )
    strategy = strategies[spec.strategy.name](table.space(), spec.strategy, 0)
    ask = strategy.ask

    def breaking(number: int, running: Sequence[Trial]) -> Candidate:
        if number == stop_at:
            raise ZeroDivisionError
        found = ask(number, running)
        assert isinstance(found, Candidate)
        return found

    strategy.ask = breaking  # type: ignore[method-assign]
    claim = Queue(sessions).claim("me")
    assert claim is not None
    journal = BatchedJournal(SqlJournal(sessions, claim, lambda: 1.0), **batches)
    run = SearchRun(spec, table.space(), strategy, journal, table.cost)
    run_serial(run, TableEvaluator(table))
    return run, journal


def told(events: Sequence[TrialStarted | TrialEnded]) -> list[tuple[str, Any, Any, Any]]:
    return [(type(e).__name__, e.trial.number, e.trial.proposal, e.trial.fitness) for e in events]


def test_what_was_not_written_before_a_crash_comes_again_the_same(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    sessions = connect(settings.database_url)
    try:
        first = add_search(sessions)
        _, journal = search_run(sessions, tmp_path, seconds=0)
        whole = told(journal.history())
        Queue(sessions).finish(journal._journal._claim, SearchState.SUCCEEDED)

        second = add_search(sessions)
        with pytest.raises(ZeroDivisionError):
            search_run(sessions, tmp_path, stop_at=25, seconds=60, events=20)
        Queue(sessions).release_owners(lambda owner: True)
        again, journal = search_run(sessions, tmp_path, seconds=60, events=20)
        assert again.finished and told(journal.history()) == whole
        assert read_search(sessions, first).best == read_search(sessions, second).best
    finally:
        sessions.engine.dispose()
