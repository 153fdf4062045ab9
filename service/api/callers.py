"""Who stands behind the key of a request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.refusals import ProblemError
from service.sql.api_keys import USE_SECONDS, Caller, Scope, caller_of, hash_of, is_key, note_use
from service.sql.database import DEFAULT_TENANT, Sessions

BELIEVED_SECONDS = 1.0
"""How long an answer of the database is believed, so that a revoked key opens nothing after it."""

_MOST = 10_000  # keys that are remembered; strangers may send any number of wrong ones

log = structlog.get_logger("nasmith.api")


@dataclass(frozen=True, slots=True)
class _Answer:
    caller: Caller | None
    asked_at: float

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.asked_at < BELIEVED_SECONDS


class Callers:
    """Asks the database once a second for a key that is in use, whoever waits for the answer, on
    threads that no route shares. `asks` for keys, or else lets everybody in as the admin of the
    first tenant.
    """

    def __init__(self, sessions: Sessions, *, asks: bool) -> None:
        self.asks = asks
        self._sessions = sessions
        self._answers: dict[str, _Answer] = {}
        self._questions: dict[str, asyncio.Task[_Answer]] = {}
        self._noted: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def of(self, authorization: str | None) -> Caller:
        """The caller that this Authorization header names.

        Raises:
            ProblemError: 401, it names none, or one who may not come in any more.
        """
        if not self.asks:
            return _ANYBODY
        if authorization is None:
            raise _unknown("this server asks for an API key; send Authorization: Bearer nsk_...")
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not is_key(key := key.strip()):
            raise _unknown("the Authorization header holds no API key: Bearer nsk_...", wrong=True)
        caller = (await self._answer(hash_of(key))).caller
        if caller is None:
            raise _unknown("there is no such API key, or it was revoked", wrong=True)
        if caller.has_expired:
            raise _unknown("the API key has expired", wrong=True)
        self._note(caller)
        return caller

    async def still_know(self, authorization: str | None) -> bool:
        """Whether an answer that has begun may go on; an outage of the database ends none."""
        try:
            await self.of(authorization)
        except ProblemError:
            return False
        except SQLAlchemyError:
            return True
        return True

    def forget(self) -> None:
        """Ask the database again for every key: one was revoked here."""
        self._answers.clear()

    async def close(self) -> None:
        await asyncio.gather(*self._notes)

    async def _answer(self, sha256: str) -> _Answer:
        known = self._answers.get(sha256)
        if known is not None and known.is_fresh:
            return known
        question = self._questions.get(sha256)
        if question is None:
            question = asyncio.create_task(self._ask(sha256))
            self._questions[sha256] = question
            question.add_done_callback(lambda _: self._questions.pop(sha256, None))
        return await asyncio.shield(question)  # one who leaves takes the answer from nobody

    async def _ask(self, sha256: str) -> _Answer:
        asked_at = time.monotonic()
        answer = _Answer(await asyncio.to_thread(self._read, sha256), asked_at)
        if len(self._answers) >= _MOST:
            self._answers.clear()
        self._answers[sha256] = answer
        return answer

    def _read(self, sha256: str) -> Caller | None:
        with self._sessions.read() as session:
            return caller_of(session, sha256)

    def _note(self, caller: Caller) -> None:
        """Write the last use, beside the request."""
        now, key_id = time.monotonic(), caller.key_id
        if key_id is None or now - self._noted.get(key_id, -USE_SECONDS) < USE_SECONDS:
            return
        self._noted[key_id] = now
        task = asyncio.create_task(asyncio.to_thread(self._write_use, key_id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def _write_use(self, key_id: str) -> None:
        try:
            with self._sessions.begin() as session:
                note_use(session, key_id)
        except SQLAlchemyError as error:
            log.warning("the last use of a key was not written", error=str(error).splitlines()[0])


_ANYBODY = Caller(DEFAULT_TENANT, Scope.ADMIN)


def _unknown(detail: str, *, wrong: bool = False) -> ProblemError:
    """RFC 6750, section 3: a request without a key is told no error code."""
    challenge = 'Bearer realm="nasmith"' + (', error="invalid_token"' if wrong else "")
    return ProblemError(401, detail, headers={"WWW-Authenticate": challenge})
