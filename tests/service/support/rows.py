"""Searches and trials as rows, for tests of the queue and the journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.stages.candidates import CANDIDATE
from search.trial import Candidate, Trial, TrialState
from service.identifiers import new_search_id
from service.sql.database import DEFAULT_TENANT, Sessions
from service.sql.tables import Search, Tenant

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "random"},
    "budget": {"trials": 8, "seconds": None},
    "resources": {"parallel_trials": 2, "cpus_per_trial": 1, "gpus_per_trial": 0},
}


def add_tenant(sessions: Sessions, tenant_id: str) -> str:
    with sessions.begin() as session:
        session.add(Tenant(id=tenant_id, name=tenant_id, created_at=datetime.now(UTC)))
    return tenant_id


def add_search(
    sessions: Sessions, tenant_id: str = DEFAULT_TENANT, state: str = "queued", **columns: Any
) -> str:
    search_id = new_search_id()
    values = {
        "name": "of a test",
        "spec": SPEC,
        "dataset": "digits",
        "trials_total": 8,
        "dataset_fingerprint": "0" * 64,
        **columns,
    }
    with sessions.begin() as session:
        session.add(
            Search(
                id=search_id,
                tenant_id=tenant_id,
                state=state,
                versions={},
                created_at=datetime.now(UTC),
                **values,
            )
        )
    return search_id


def read_search(sessions: Sessions, search_id: str) -> Search:
    with sessions.read() as session:
        return session.get_one(Search, search_id)


def running_trial(number: int, **changes: Any) -> Trial:
    values: dict[str, Any] = {
        "kind": CANDIDATE,
        "proposal": Candidate(
            Architecture("cnn_cell", {"channels": 4, "cells": number}), Recipe(learning_rate=0.1)
        ),
        "state": TrialState.RUNNING,
        "architecture_key": f"{number:064x}",
        "recipe_key": "b" * 64,
        **changes,
    }
    return Trial(number=number, **values)
