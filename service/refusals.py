"""Why something is refused, in terms of no framework: repositories and validation raise these, and
`service.api.problems` turns them into answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Part = Literal["body", "query", "path", "header"]

MAX_ERRORS = 100
"""That are told of one request."""

_LONGEST_TEXT = 300

_PHRASES = {
    413: "Content Too Large",
    422: "Unprocessable Content",
}  # older Pythons say it otherwise


class ProblemItem(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(populate_by_name=True)

    in_: Part = Field(alias="in", description="the part of the request")
    pointer: str = Field(description="JSON Pointer (RFC 6901) into that part; empty: all of it")
    detail: str = Field(description="what was received and what is allowed")


class ProblemError(Exception):
    """Raised anywhere below a route; answered as a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        title: str | None = None,
        errors: Sequence[ProblemItem] | None = None,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
        self.status, self.detail, self.errors = status, detail, errors
        self.title = title or phrase
        self.kind = kind or re.sub(r"[^a-z]+", "-", phrase.lower())
        self.headers, self.extensions = dict(headers or {}), extensions


class NotFoundError(ProblemError):
    def __init__(self, thing: str, name: object) -> None:
        super().__init__(404, f"there is no {thing} {str(name)[:100]!r}")


class ConflictError(ProblemError):
    """The resource is in a state that does not allow this. `allowed` are the states that do."""

    def __init__(self, detail: str, *, state: str, allowed: Iterable[str]) -> None:
        super().__init__(409, detail, state=state, allowed_states=sorted(allowed))


class InvalidError(ProblemError):
    """The request is understood and wrong; lists what is wrong, the first `MAX_ERRORS` of it.
    `count`: of all, where `errors` are not all.
    """

    def __init__(self, errors: Sequence[ProblemItem], count: int | None = None) -> None:
        count = len(errors) if count is None else count
        where = errors[0].pointer or "the whole"
        super().__init__(
            422,
            f"{count} {'error' if count == 1 else 'errors'} in the {errors[0].in_}; "
            f"the first at {where}: {errors[0].detail}",
            kind="invalid-request",
            title="Invalid request",
            errors=errors[:MAX_ERRORS],
            error_count=count,
        )


def item(part: Part, pointer: str, detail: str) -> ProblemItem:
    """Text of a request is cut: an answer is no longer than a person reads."""
    return ProblemItem(in_=part, pointer=_cut(pointer), detail=_cut(detail))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def pointer(path: Iterable[object]) -> str:
    """The JSON Pointer of a path of keys and indices."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)
