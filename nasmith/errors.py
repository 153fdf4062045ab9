"""What can go wrong between a client and a server: one exception a kind, from problem+json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2


class NasmithError(Exception):
    """Base of everything that the client raises on purpose."""


class UnreachableError(NasmithError):
    """No answer: the server is not there, or stayed away longer than the client's patience."""


class DatasetError(NasmithError):
    """A large file was taken and could not be read; the message says why."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request; `pointer` is a JSON Pointer (RFC 6901) into its `part`: body,
    query, path or header.
    """

    part: str
    pointer: str
    detail: str

    def __str__(self) -> str:
        where = self.pointer if self.part == "body" else f"{self.part} {self.pointer}".strip()
        return f"{where}: {self.detail}" if where else self.detail


class ProblemError(NasmithError):
    """The server's refusal, an RFC 9457 problem.

    Attributes:
        status: the HTTP status code.
        errors: every field at fault; empty where the problem is not about fields.
        problem: the whole document, extension members included.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, dict(problem)
        self.title = str(problem.get("title") or _phrase(status))
        self.detail = str(problem.get("detail") or "")
        self.errors: Sequence[FieldError] = tuple(_field_errors(problem.get("errors")))
        super().__init__(status, problem)

    def __str__(self) -> str:
        # The detail repeats the first error, for those who show nothing else.
        detail = "" if self.errors else self.detail
        headline = f"{self.status} {self.title}" + (f": {detail}" if detail else "")
        return "\n".join([headline, *(f"  {error}" for error in self.errors)])


class AuthenticationError(ProblemError):
    """401 or 403: no API key, or one that may not do this."""


class NotFoundError(ProblemError):
    """404: no such search, trial or dataset."""


class ConflictError(ProblemError):
    """409: not in this state, for instance a bundle that does not exist yet."""


class InvalidRequestError(ProblemError):
    """400, 413, 415 or 422: the request itself is wrong; `errors` lists all that is."""


class TooManyRequestsError(ProblemError):
    """429: a limit or quota is used up."""


class ServerError(ProblemError):
    """5xx: the server's fault; 503 only after the client has been patient."""


_KINDS: Mapping[int, type[ProblemError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: TooManyRequestsError,
}


def problem_of(response: httpx2.Response) -> ProblemError:
    """The exception for an error response whose body has been read."""
    status = response.status_code
    kind = _KINDS.get(status, ServerError if status >= 500 else ProblemError)
    return kind(status, _document(response))


def _document(response: httpx2.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"detail": f"no problem document, but: {response.text[:200]!r}"}


def _field_errors(errors: object) -> list[FieldError]:
    if not isinstance(errors, list):
        return []
    return [
        FieldError(*(str(error.get(key, "")) for key in ("in", "pointer", "detail")))
        for error in errors
        if isinstance(error, dict)
    ]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "error"
