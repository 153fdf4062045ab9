"""What keeps a core busy waits for its turn without a thread, and holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from service.api.searches import validation
from service.refusals import ProblemError
from tests.service.support.requests import BODY

MANY = 60
"""More than the 40 threads that all routes share."""


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """Turns do not depend on the database."""
    return str(request.param)


def test_dry_runs_that_take_long_hold_up_no_list_and_no_search(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, running, most = threading.Event(), [0], [0]

    def dry_run(*_: Any) -> dict[str, Any]:
        running[0] += 1
        most[0] = max(most[0], running[0])
        hold.wait()
        running[0] -= 1
        return {}

    monkeypatch.setattr(validation, "dry_run", dry_run)

    async def main() -> list[int]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            tried = [
                asyncio.create_task(client.post("/v1/searches?dry_run=true", json=BODY))
                for _ in range(MANY)
            ]
            while not running[0]:
                await asyncio.sleep(0.01)
            try:
                listed = await asyncio.wait_for(client.get("/v1/searches"), 60)
                posted = await asyncio.wait_for(client.post("/v1/searches", json=BODY), 60)
                assert not any(task.done() for task in tried)
            finally:
                hold.set()
            answers = [listed, posted, *await asyncio.gather(*tried)]
        return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200, 202] + [200] * MANY
    assert most == [1]


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_body_is_refused_alike_in_turn_and_at_once(app: FastAPI, size: int) -> None:
    """A small one is parsed where it arrives."""
    body = b'{"x": "' + b"x" * size + b'", "x": 1}'

    async def main() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            json = {"Content-Type": "application/json"}
            return await client.post("/v1/searches", content=body, headers=json)

    refused = asyncio.run(main())
    assert refused.status_code == 422
    assert [error["detail"] for error in refused.json()["errors"]] == ["this key is given twice"]


def test_small_files_are_written_down_two_at_a_time(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that others come to write to the database between them."""
    running, most = [0], [0]

    async def write_down(*_: Any) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.005)
        running[0] -= 1
        raise ProblemError(409, "of this test")

    monkeypatch.setattr(app.state.intake, "_write_down", write_down)
    form = {"name": "a", "task": "tabular_classification"}

    async def main() -> list[int]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = await asyncio.gather(
                *(
                    client.post("/v1/datasets", data=form, files={"file": ("a.csv", b"x")})
                    for _ in range(12)
                )
            )
        return [answer.status_code for answer in answers]

    assert (asyncio.run(main()), most) == ([409] * 12, [2])
