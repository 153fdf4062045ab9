from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.checkpoint import load
from models.datasets.reference import load_dataset
from models.ensemble import chosen_in
from nasmith.commands.reports import _ensemble_lines
from search.engine.journal import StaleOwnerError
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.ensemble import ENSEMBLE
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.trial import Trial
from service.api.trials.ranking import best_items
from service.api.trials.reporting import Reports
from service.running.publishing import Publisher
from service.sql.artifacts import ArtifactRepository
from service.sql.database import Sessions, connect
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.ledger import Ledger
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Artifact, Event, Search
from service.sql.tables import Trial as TrialRow
from service.sql.trials import TrialRepository
from service.store.layout import checkpoints_url
from service.store.leftovers import Leftovers
from service.store.store import Store
from tests.service.support.rows import add_search, read_search

BODY = {
    "dataset": "digits",
    "space": {"family": "cnn_cell", "nodes": 2, "channels": 4, "cells": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "strategy": {"name": "random"},
    "budget": {"trials": 2},
    "final": {"top": 1, "seeds": 2, "epochs": 2},
}


TOGETHER = {
    "dataset": "diabetes",
    "space": {"family": "mlp", "depth": 1, "width": 8, "members": 1},
    "ensemble": {"size": 4},
    "training": {"epochs": 2, "batch_size": 64},
}


sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])  # the SQL is that of other tests


@dataclass
class Finished:
    """A search that was trained to its end, and published nothing yet."""

    sessions: Sessions
    claim: Claim
    store: Path
    trials: list[Trial]
    publisher: Publisher

    @property
    def finals(self) -> list[Trial]:
        finals = [trial for trial in self.trials if trial.kind is FINAL]
        return sorted(finals, key=lambda trial: -trial.metrics["val_accuracy"])

    def checkpoint(self, trial: Trial) -> Path:
        folder = self.store / "checkpoints" / self.claim.search_id
        return folder / f"{trial.number}.safetensors"

    def publish(self) -> str | None:
        return self.publisher.publish(self.trials)

    def artifacts(self) -> list[Artifact]:
        with self.sessions.read() as session:
            return list(session.scalars(select(Artifact)))

    def events(self) -> list[str]:
        with self.sessions.read() as session:
            return list(session.scalars(select(Event.type).order_by(Event.sequence)))


@pytest.fixture
def body(request: pytest.FixtureRequest) -> dict[str, Any]:
    return BODY | getattr(request, "param", {})


@pytest.fixture
def finished(database_url: str, tmp_path: Path, body: dict[str, Any]) -> Iterator[Finished]:
    sessions = connect(database_url)
    resolved = resolve(body)
    add_search(sessions, spec=resolved.spec.to_json(), trials_total=2)
    claim = Queue(sessions).claim("me")
    assert claim is not None
    store = tmp_path / "store"
    journal = SqlJournal(sessions, claim, lambda: 0.0)
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    url = checkpoints_url(f"file://{store}", claim.search_id)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, url))
    assert run.failed_reason is None
    publisher = Publisher(
        Ledger(sessions, claim),
        claim,
        f"file://{store}",
        resolved.spec,
        "of a test",
        load_dataset(resolved.spec.dataset),
    )
    yield Finished(sessions, claim, store, run.trials, publisher)
    sessions.engine.dispose()


def test_the_best_final_run_is_published_whole(finished: Finished) -> None:
    assert finished.publish() is None
    (artifact,) = finished.artifacts()
    best = finished.finals[0]
    assert artifact.number == best.number
    store = Store(f"file://{finished.store}")
    with (
        store.read_whole(artifact.path, artifact.sha256) as file,
        zipfile.ZipFile(file) as bundle,
    ):
        metrics = json.loads(bundle.read("metrics.json"))
    assert metrics["metrics"] == dict(best.metrics)
    assert metrics["final_metrics"]["test_accuracy"]["seeds"] == 2
    assert finished.events()[-1] == "bundle.published"


@pytest.mark.slow
@sqlite_alone
def test_a_second_owner_publishes_only_what_is_missing(finished: Finished) -> None:
    finished.publish()
    before = finished.events()
    finished.checkpoint(finished.finals[0]).unlink()  # it would be missed
    assert finished.publish() is None
    assert finished.events() == before


@pytest.mark.slow
def test_a_model_that_scores_otherwise_is_refused_and_the_next_seed_published(
    finished: Finished,
) -> None:
    """The recorded test score of the best run is wrong by one sample."""
    best, second = finished.finals
    claimed = {**best.metrics, "test_accuracy": best.metrics["test_accuracy"] - 1 / 360}
    finished.trials = [
        trial if trial is not best else _with_metrics(best, claimed) for trial in finished.trials
    ]
    assert finished.publish() is None
    assert [artifact.number for artifact in finished.artifacts()] == [second.number]
    with finished.sessions.read() as session:
        row = session.get_one(TrialRow, (finished.claim.search_id, best.number))
    assert row.state == "failed"
    assert row.failure is not None
    assert row.failure["kind"] == "bundle"
    assert "test_accuracy" in row.failure["message"]
    assert finished.events()[-2:] == ["trial.ended", "bundle.published"]


def _with_metrics(trial: Trial, metrics: dict[str, float]) -> Trial:
    return replace(trial, metrics=metrics)


@sqlite_alone
def test_damaged_weights_are_never_published(finished: Finished) -> None:
    for trial in finished.finals:
        path = finished.checkpoint(trial)
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        path.write_bytes(content)
    reason = finished.publish()
    assert reason is not None
    assert all(f"final trial {trial.number}" in reason for trial in finished.finals)
    assert finished.artifacts() == []


@pytest.mark.slow
def test_a_stale_owner_publishes_nothing(finished: Finished) -> None:
    Queue(finished.sessions).release(finished.claim)
    again = Queue(finished.sessions).claim("next")
    assert again is not None
    with pytest.raises(StaleOwnerError):
        finished.publish()
    assert finished.artifacts() == []
    assert read_search(finished.sessions, again.search_id).state == "running"


@sqlite_alone
def test_what_is_left_behind_is_removed_and_what_is_published_stays(
    finished: Finished,
) -> None:
    finished.publish()
    (artifact,) = finished.artifacts()
    assert load(str(finished.checkpoint(finished.finals[0]))).extra["seed"] is not None
    orphan = finished.store / "artifacts" / finished.claim.search_id / "9-1.zip"
    orphan.write_bytes(b"of an owner that was killed before its row was committed")
    leftovers = Leftovers(finished.sessions, f"file://{finished.store}")
    leftovers.remove_all()
    assert orphan.exists(), "the search has not ended"
    Queue(finished.sessions).finish(finished.claim, SearchState.SUCCEEDED)
    leftovers.remove_all()
    left = [path for path in finished.store.rglob("*") if path.is_file()]
    assert left == [finished.store / artifact.path]


@pytest.mark.parametrize("body", [TOGETHER], indirect=True)
@sqlite_alone
def test_an_ensemble_is_published_beside_the_best_network(finished: Finished) -> None:
    together = next(trial for trial in finished.trials if trial.kind is ENSEMBLE)
    assert together.derived is not None
    chosen = chosen_in(together.derived)
    assert len(chosen) == 2, "of two seeds"
    assert finished.publish() is None
    published = {artifact.number: artifact for artifact in finished.artifacts()}
    assert len(published) == 2 and together.number in published
    store, artifact = Store(f"file://{finished.store}"), published[together.number]
    with (
        store.read_whole(artifact.path, artifact.sha256) as file,
        zipfile.ZipFile(file) as bundle,
    ):
        metrics = json.loads(bundle.read("metrics.json"))
    assert metrics["metrics"] == dict(together.metrics)
    assert [member["trial"] for member in metrics["members"]] == [one.trial for one in chosen]
    events = finished.events()
    assert finished.publish() is None
    assert finished.events() == events, "it is published once"

    with finished.sessions.read() as session:
        search = session.get_one(Search, finished.claim.search_id)
        trials = TrialRepository(session, search.tenant_id, search.id)
        first, second = best_items(search, trials)
        bundles = ArtifactRepository(session, search.tenant_id).bundles(search.id)
    assert (first["trial"], first["architecture"]["family"]) == (together.number, "ensemble")
    assert [member["trial"] for member in first["ensemble"]] == [one.trial for one in chosen]
    assert first["final_metrics"]["val_mse"]["mean"] == together.metrics["val_mse"]
    assert second["ensemble"] is None and second["trial"] in bundles
    assert bundles[together.number].number == together.number
    assert bundles[second["trial"]].number in {one.trial for one in chosen}
    report = Reports(finished.sessions, "").of(search.tenant_id, search.id)["ensemble"]
    assert report["is_handed_out"] and report["single"] == chosen[0].trial
    (score,) = report["scores"]
    assert score["ensemble"] < score["single"], "errors are minimised"
    assert next(iter(_ensemble_lines(report))).startswith("ensemble of 2 final trainings: ")


@pytest.mark.parametrize("body", [TOGETHER], indirect=True)
@sqlite_alone
def test_an_ensemble_that_scores_otherwise_is_refused_and_the_network_stays(
    finished: Finished,
) -> None:
    together = next(trial for trial in finished.trials if trial.kind is ENSEMBLE)
    claimed = {**together.metrics, "test_mse": together.metrics["test_mse"] / 2}
    known = _with_metrics(together, claimed)
    finished.trials = [known if trial is together else trial for trial in finished.trials]
    assert finished.publish() is None
    assert together.number not in {artifact.number for artifact in finished.artifacts()}
    with finished.sessions.read() as session:
        row = session.get_one(TrialRow, (finished.claim.search_id, together.number))
        search = session.get_one(Search, finished.claim.search_id)
        items = best_items(search, TrialRepository(session, search.tenant_id, search.id))
        report = Reports(finished.sessions, "").of(search.tenant_id, search.id)["ensemble"]
    assert row.state == "failed" and row.failure is not None and row.failure["kind"] == "bundle"
    assert [item["ensemble"] for item in items] == [None]
    assert not report["is_handed_out"] and "test_mse" in report["failure"]
