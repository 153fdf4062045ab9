"""Requests and searches with results, for tests of the API."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.journal import EpochReported, TrialEnded, TrialStarted
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.evaluation import Measurement
from search.request.opening import opening
from search.request.resolve import reopen
from search.trial import Candidate, Failure, FailureKind, Trial, TrialState
from service.sql.database import Sessions
from service.sql.journal import SqlJournal
from service.sql.lease import Claim
from service.sql.memory import memory_of
from service.sql.queue import Queue
from service.sql.states import SearchState
from service.sql.tables import Artifact, Search

BODY: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "regularized_evolution"},
}


def submit(client: TestClient, **changes: Any) -> str:
    response = client.post("/v1/searches", json={**BODY, **changes})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def problem(response: Response, status: int) -> dict[str, Any]:
    """The problem document of a refusal, whole and with nothing of the inside."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance"} <= document.keys()
    assert document["status"] == status
    assert "Traceback" not in response.text
    if status == 422:
        assert document["errors"]
        assert all({"pointer", "detail"} <= item.keys() for item in document["errors"])
    return document


def pointers(response: Response) -> set[str]:
    return {item["pointer"] for item in problem(response, 422)["errors"]}


def trial(number: int, accuracy: float | None = None, **changes: Any) -> Trial:
    """A trial, completed where an accuracy is given."""
    values: dict[str, Any] = {
        "kind": CANDIDATE,
        "proposal": Candidate(Architecture("cnn_cell", {"cells": number + 1}), Recipe(epochs=2)),
        "state": TrialState.RUNNING if accuracy is None else TrialState.COMPLETED,
        "architecture_key": hashlib.sha256(str(number).encode()).hexdigest(),
        "recipe_key": "b" * 64,
    }
    if accuracy is not None:
        values |= {
            "metrics": {"val_accuracy": accuracy, "parameters": 1000.0},
            "fitness": (accuracy,),
            "seconds": 1.5,
            "worker": "node/1",
        }
    return Trial(number=number, **{**values, **changes})


class Driver:
    """Runs a submitted search by hand, through the real queue and journal."""

    def __init__(self, sessions: Sessions, search_id: str) -> None:
        self.sessions, self.queue = sessions, Queue(sessions)
        claim = self.queue.claim("a test")
        assert claim is not None and claim.search_id == search_id
        self.claim: Claim = claim
        self.journal = SqlJournal(sessions, claim, lambda: 2.0)

    def resume(self) -> SearchRun:
        """The search itself, as far as its journal goes."""
        requests = self.queue.requests(self.claim)
        resolved = reopen(requests.spec)
        with self.sessions.read() as session:
            memory = memory_of(session, requests.tenant_id, self.claim.search_id)
        return SearchRun(
            resolved.spec,
            resolved.space,
            resolved.strategy(memory),
            self.journal,
            resolved.cost,
            suggestions=opening(resolved, None),
        )

    def start(self, number: int, **changes: Any) -> None:
        self.journal.append(TrialStarted(trial(number, **changes), told=0))

    def report(self, number: int, epoch: int, **metrics: float) -> None:
        self.journal.append(EpochReported(number, epoch, metrics))

    def end(self, number: int, accuracy: float, **changes: Any) -> None:
        self.journal.append(TrialEnded(trial(number, accuracy, **changes)))

    def fail(self, number: int, kind: FailureKind, message: str) -> None:
        failure = Failure(kind, message)
        self.journal.append(TrialEnded(trial(number, state=TrialState.FAILED, failure=failure)))

    def run(self, number: int, accuracy: float, **changes: Any) -> None:
        """Start, two epochs, end."""
        self.start(number, **changes)
        self.report(number, 1, val_accuracy=accuracy / 2)
        self.report(number, 2, val_accuracy=accuracy)
        self.end(number, accuracy, **changes)

    def retrain(self, number: int, source: int, accuracy: float, seed: int) -> None:
        changes: dict[str, Any] = {"kind": FINAL, "source": source, "seed": seed}
        self.start(number, **changes)
        metrics = {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.01}
        self.end(number, accuracy, **changes, metrics=metrics)

    def publish(self, number: int, content: bytes, home: Path) -> str:
        """Put a bundle into the store as a driver does; the path of its file."""
        path = f"artifacts/{self.claim.search_id}/{number}/bundle.zip"
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(content)
        with self.sessions.begin() as session:
            search = session.get_one(Search, self.claim.search_id)
            session.add(
                Artifact(
                    search_id=search.id,
                    number=number,
                    kind="bundle",
                    tenant_id=search.tenant_id,
                    path=path,
                    sha256=hashlib.sha256(content).hexdigest(),
                    size_bytes=len(content),
                    created_at=search.created_at,
                )
            )
        return path

    def finish(self) -> None:
        self.queue.finish(self.claim, SearchState.SUCCEEDED)


def derived(key: str) -> Architecture:
    """A network of `SMALL`, drawn from a key."""
    operations, rng = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3"), Random(key)
    edges = {f"edge_{a}_{b}": rng.choice(operations) for b in range(1, 4) for a in range(b)}
    fixed = {"topology": "nasbench201", "nodes": 4, "cells": 1, "channels": 4}
    return Architecture("cnn_cell", {**fixed, **edges})


class Hashed:
    """An evaluator without training: the score is drawn from the architecture's key."""

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        score = int(trial.architecture_key[:8], 16) / 16**8
        if trial.is_supernet:
            metrics = {"epoch": 1.0, "weight_loss": score}
            yield Measurement(metrics, derived(trial.architecture_key))
            return
        metrics = {"val_accuracy": score, "parameters": 1000.0 * score}
        if trial.kind is FINAL:
            metrics["test_accuracy"] = score / 2
        yield Measurement({"epoch": 1.0, **metrics})


SMALL: dict[str, Any] = {
    "space": {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "channels": 4,
        "cells": 1,
        "stem_stride": 1,
        "head_pool": 1,
    },
    "training": {"epochs": 1},
    "final": {"top": 1, "seeds": 1, "epochs": 1},
}
"""One cell with six edges: 15,625 networks, many of them isomorphic."""


def run_search(app: FastAPI, client: TestClient, **changes: Any) -> str:
    """Submit a search and run it to its end, through the real queue and journal."""
    search_id = submit(client, **{**SMALL, **changes})
    driver = Driver(app.state.sessions, search_id)
    run_serial(driver.resume(), Hashed())
    driver.finish()
    return search_id
