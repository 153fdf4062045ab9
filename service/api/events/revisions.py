"""What pollers ask, many at a time: the revision of a search.

Questions that arrive while one query is under way are answered together by the next. However many
clients poll, there is one thread and one connection at work, and no answer is older than its
question.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from service.refusals import NotFoundError
from service.sql.database import Sessions
from service.sql.searches import Revision, revisions

_Question = tuple[str, str]  # tenant, search


class Revisions:
    """Belongs to one event loop."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._asked: dict[_Question, asyncio.Future[Revision]] = {}
        self._answering: asyncio.Task[None] | None = None

    async def of(self, tenant_id: str, search_id: str) -> Revision:
        """
        Raises:
            NotFoundError: the tenant has no such search.
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        question = (tenant_id, search_id)
        answer = self._asked.get(question)
        if answer is None:
            answer = self._asked[question] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_retrieve)
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer())
        return await asyncio.shield(answer)

    async def _answer(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    found = await asyncio.to_thread(self._read, list(asked))
                except Exception as error:  # everybody who asked gets it
                    for answer in asked.values():
                        answer.set_exception(error)
                    continue
                for question, answer in asked.items():
                    if question in found:
                        answer.set_result(found[question])
                    else:
                        answer.set_exception(NotFoundError("search", question[1]))
        finally:
            self._answering = None

    def _read(self, asked: list[_Question]) -> dict[_Question, Revision]:
        of_tenants: dict[str, list[str]] = defaultdict(list)
        for tenant_id, search_id in asked:
            of_tenants[tenant_id].append(search_id)
        with self._sessions.connect() as connection:
            return {
                (tenant_id, search_id): revision
                for tenant_id, search_ids in of_tenants.items()
                for search_id, revision in revisions(connection, tenant_id, search_ids).items()
            }


def _retrieve(answer: asyncio.Future[Revision]) -> None:
    """A question whose client went away has an answer that nobody looks at."""
    if not answer.cancelled():
        answer.exception()
