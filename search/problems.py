"""What is wrong with a request: every problem at once, each with a JSON Pointer and a message that
names the value received and what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from models.settings import SEVERAL, OneOf

MAX_PROBLEMS = 100
"""That are told of one request."""

FORMS = ("literal", "choice", "range")
"""Names of the forms of a searchable scalar: in pydantic's location, not in the request."""

NOT_CALLED = "default_factory_not_called"
"""pydantic's error of a field that was left out, where another one is wrong: none of its own."""

PHRASES = {
    "missing": "is required",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
}


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """`pointer`: RFC 6901, into the request body; empty for the whole."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class SpecWarning:
    """What a client should change in a request that was taken. `where`: a pointer into its body."""

    code: str
    message: str
    where: str

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "where": self.where}


class SpecError(ValueError):
    """A request that cannot be served, with what is wrong with it: the first `MAX_PROBLEMS`, and
    the `count` of all. `untold`: problems that nobody has put into words.
    """

    def __init__(self, problems: Sequence[SpecProblem], untold: int = 0) -> None:
        told = problems[:MAX_PROBLEMS]
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.message}" for p in told))
        self.problems = tuple(told)
        self.count = len(problems) + untold


def problem(message: str, *path: str | int) -> SpecProblem:
    """A problem of the value at `path`."""
    return SpecProblem(pointer(*path), message)


def pointer(*path: str | int) -> str:
    """RFC 6901."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in escaped)


def shown(value: object) -> str:
    """A value of a request in a message: as JSON, cut to 80 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, TypeError, ValueError):  # too deep, or more digits than Python prints
        text = f"a value of type {type(value).__name__} that is too deep or too long"
    return text if len(text) <= 80 else f"{text[:77]}..."


class Explainer:
    """Turns pydantic's errors about `model` into problems.

    `searchable`: the fields whose scalars may be domains.
    """

    def __init__(self, model: type[BaseModel], searchable: frozenset[str]) -> None:
        self._model, self._searchable = model, searchable
        self._unions = {
            name: form
            for name, field in model.model_fields.items()
            for form in field.metadata
            if isinstance(form, OneOf)
        }

    def problems(self, found: Iterable[ErrorDetails]) -> Iterator[SpecProblem]:
        return (self._problem(details) for details in found)

    def path(self, location: Sequence[str | int]) -> list[str | int]:
        """The location of pydantic without the names of the forms and variants of unions."""
        path, field = list(location), 1
        if path and path[0] in self._unions:
            place = self._place_of_variant(location)
            field = 2 if SEVERAL in location[1:2] else 1
            del path[place : place + 1]
            if place > 1:
                del path[1:2]
        form = field + 1
        if path and path[0] in self._searchable and len(path) > form and path[form] in FORMS:
            del path[form]
        return path

    def _place_of_variant(self, location: Sequence[str | int]) -> int:
        """Where the location of pydantic names the entry of a union."""
        if not self._unions[str(location[0])].several:
            return 1
        return 3 if SEVERAL in location[1:2] else 2

    def _problem(self, details: ErrorDetails) -> SpecProblem:
        kind, path = details["type"], self.path(details["loc"])
        context = details.get("ctx", {})
        if kind in ("union_tag_invalid", "union_tag_not_found"):
            union = self._unions[str(path[0])]
            key, known = union.key, ", ".join(union.entries)
            if kind == "union_tag_not_found":
                return problem(f"is required, known are {known}", *path, key)
            what = f"unknown {union.entries.kind} {shown(details['input'][key])}"
            return problem(f"{what}, known are {known}", *path, key)
        if kind == "extra_forbidden":
            known = ", ".join(self._fields(details["loc"]))
            return problem(f"unknown field, known are {known}", *path)
        if kind == "value_error":
            return problem(str(context["error"]), *path)
        if kind == "domain" and "reason" in context:
            return problem(str(context["reason"]), *path)
        if kind in ("too_short", "too_long"):
            limit = context.get("min_length", context.get("max_length"))
            bound = "at least" if kind == "too_short" else "at most"
            items = "item" if limit == 1 else "items"
            return problem(f"needs {bound} {limit} {items}, got {context['actual_length']}", *path)
        message = PHRASES.get(kind) or details["msg"].replace("Input should", "must", 1)
        message = message.replace("must be a valid", "must be a").replace("a integer", "an integer")
        if kind == "missing":
            return problem(message, *path)
        return problem(f"{message}, got {shown(details['input'])}", *path)

    def _fields(self, location: Sequence[str | int]) -> Iterable[str]:
        """The fields of the object that holds the unknown field at `location`."""
        *parents, _ = self.path(location)
        if not parents:
            return self._model.model_fields
        first = str(parents[0])
        is_in_list = len(parents) > 1 and isinstance(parents[1], int)
        if first in self._searchable and len(parents) > (2 if is_in_list else 1):
            return ("choice",) if "choice" in location else ("low", "high", "log", "step")
        if first in self._unions:
            union, variant = self._unions[first], location[self._place_of_variant(location)]
            fields = union.entries[str(variant)].Settings.model_fields
            return (union.key, *(name for name in fields if name != union.key))
        return _item_model(self._model.model_fields[first].annotation).model_fields


def _item_model(annotation: Any) -> type[BaseModel]:
    """The settings class of a field, or of the items of its array."""
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = annotation.__args__[0]
    return annotation
