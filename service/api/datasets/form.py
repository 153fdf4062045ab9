"""The multipart form of an upload: one file, and small fields beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.types import Message

from service.api.datasets.schemas import NAME_PATTERN
from service.api.strict_json import parse_json
from service.refusals import InvalidError, ProblemError, ProblemItem, item

FIELDS = ("file", "name", "task", "options")
_FIELD_BYTES = 64 * 1024
_OVERHEAD_BYTES = 1024 * 1024
"""What the form may have beside the file."""

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "name", "task"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "name": {"type": "string", "pattern": NAME_PATTERN},
                    "task": {"type": "string", "description": "what the data are for"},
                    "options": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "description": "target, text, time, window, horizon, split: what a task "
                        "needs of them",
                    },
                },
            }
        }
    },
}


@dataclass(frozen=True, slots=True)
class UploadForm:
    """`options` is any JSON value; the file is closed with the request."""

    file: UploadFile
    name: str
    task: str
    options: Any


async def upload_form(request: Request) -> AsyncIterator[UploadForm]:
    """The file lives as long as the request.

    Raises:
        ProblemError: 413, 415, or 422 with everything that is wrong with the fields.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "multipart/form-data":
        raise ProblemError(
            415,
            f"the body is {content_type or 'of no type'}, expected is multipart/form-data",
            headers={"Accept": "multipart/form-data"},
        )
    _limit(request, request.app.state.settings.max_upload_bytes)
    form = await request.form(max_files=1, max_fields=len(FIELDS) + 1, max_part_size=_FIELD_BYTES)
    try:
        yield _checked(form)
    finally:
        await form.close()


UploadFormDep = Annotated[UploadForm, Depends(upload_form)]


def _limit(request: Request, limit: int) -> None:
    """Count what arrives, so that no more than the limit is ever written to disk."""
    too_large = ProblemError(413, f"the file is larger than {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > limit + _OVERHEAD_BYTES:
        raise too_large
    receive, size = request._receive, 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit + _OVERHEAD_BYTES:
            raise too_large
        return message

    request._receive = counted


def _checked(form: FormData) -> UploadForm:
    problems: list[ProblemItem] = []
    for field in dict.fromkeys(form):
        if field not in FIELDS:
            problems.append(
                item("body", f"/{field[:100]}", f"unknown field, known are {', '.join(FIELDS)}")
            )
        elif len(form.getlist(field)) > 1:
            problems.append(item("body", f"/{field}", "given more than once"))
    file, name, task = form.get("file"), form.get("name"), form.get("task")
    if not isinstance(file, UploadFile):
        problems.append(item("body", "/file", "is required, as a file"))
    for field, text in (("name", name), ("task", task)):
        if not isinstance(text, str):
            problems.append(item("body", f"/{field}", "is required, as a text"))
    if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) is None:
        problems.append(
            item("body", "/name", f"is 1 to 100 of A-Z a-z 0-9 . _ -, got {name[:100]!r}")
        )
    options: Any = {}
    given = form.get("options", "{}")
    if isinstance(given, str):
        try:
            options = parse_json(given.encode())
        except InvalidError as error:
            problems += [
                item("body", f"/options{found.pointer}", found.detail)
                for found in error.errors or ()
            ]
        except ProblemError as error:
            problems.append(item("body", "/options", error.detail))
    else:
        problems.append(item("body", "/options", "is JSON, not a file"))
    if problems:
        raise InvalidError(problems)
    assert isinstance(file, UploadFile) and isinstance(name, str) and isinstance(task, str)  # noqa: S101 - checked above
    return UploadForm(file, name, task, options)
