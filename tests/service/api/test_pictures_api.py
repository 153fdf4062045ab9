"""`GET .../trials/{number}/architecture.svg`."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from xml.etree import ElementTree

from fastapi import FastAPI
from fastapi.testclient import TestClient

from models.architecture import Architecture
from models.presets import preset
from models.recipe import Recipe
from search.engine.stages.candidates import CANDIDATE
from search.trial import Candidate
from tests.service.support.requests import Driver, problem, submit


def candidate(**changes: str | int) -> dict[str, Any]:
    values = {**preset("darts").architecture.decisions, "cells": 3, "channels": 4, **changes}
    return {"kind": CANDIDATE, "proposal": Candidate(Architecture("cnn_cell", values), Recipe())}


def test_a_trial_has_its_picture_alone_and_beside_another(app: FastAPI, client: TestClient) -> None:
    search_id = submit(client)
    driver = Driver(app.state.sessions, search_id)
    driver.start(0, **candidate())
    driver.start(1, **candidate(normal_node_3_first="max_pool_3x3"))
    path = f"/v1/searches/{search_id}/trials/0/architecture.svg"
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    root = ElementTree.fromstring(answer.text)  # noqa: S314 - ours
    shown = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "sep_conv_3x3" in shown and "(1, 8, 8)" in shown
    style = root.findtext("{http://www.w3.org/2000/svg}style") or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"
    held = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (held.status_code, held.content) == (304, b"")
    pair = client.get(path, params={"beside": 1}).text
    assert "normal_node_3_first: sep_conv_3x3 | max_pool_3x3" in pair and "differs" in pair
    problem(client.get(path, params={"beside": 2}), 404)
    problem(client.get(path.replace("/0/", "/2/")), 404)


def test_what_cannot_be_drawn_says_why(app: FastAPI, client: TestClient) -> None:
    """An architecture without its decisions, as no search asks for: nothing is built of it."""
    search_id = submit(client)
    Driver(app.state.sessions, search_id).start(0)
    found = problem(client.get(f"/v1/searches/{search_id}/trials/0/architecture.svg"), 409)
    assert "topology" in found["detail"]
