"""From JSON to a spec, in one pass: `read` for what a client sent, `stored_spec` for what was
stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import ValidationError

from models.recipe import RECORDED
from search.body import Body
from search.problems import (
    MAX_PROBLEMS,
    NOT_CALLED,
    Explainer,
    SpecError,
    SpecProblem,
    SpecWarning,
    problem,
    shown,
)
from search.request.old_words import modernised
from search.spec import SearchSpec

B = TypeVar("B", bound=Body)

SEARCHABLE = frozenset({"space", "training"})
"""Fields of a request whose scalars may be domains."""


@dataclass(frozen=True, slots=True)
class Draft(Generic[B]):
    """A body as it was read, each field held to its own rules.

    `broken`: the fields that are refused. Of these `spec` has the default, or no value at all where
    there is none: whoever reads a field asks `has` first. `untold`: problems beyond those listed.
    """

    spec: B
    problems: tuple[SpecProblem, ...] = ()
    broken: frozenset[str] = frozenset()
    warnings: tuple[SpecWarning, ...] = ()
    untold: int = 0

    def has(self, *fields: str) -> bool:
        """Whether all of the fields are valid by themselves."""
        return self.broken.isdisjoint(fields)

    def filled(self, **values: Any) -> Self:
        """With other values in fields of the spec."""
        return replace(self, spec=self.spec.model_copy(update=values))

    def warned(self, *found: SpecWarning) -> Self:
        """With more to tell whoever asks."""
        return replace(self, warnings=(*self.warnings, *found))

    def refused(self, found: SpecProblem, field: str) -> Self:
        """With one more field that is broken."""
        return replace(self, problems=(*self.problems, found), broken=self.broken | {field})


def read(model: type[B], body: object) -> Draft[B]:
    """
    Raises:
        SpecError: the body is no object.
    """
    if not isinstance(body, dict) or not all(isinstance(name, str) for name in body):
        raise SpecError([problem(f"the body must be an object, got {shown(body)}")])
    modern, warnings = modernised(body)
    valid: dict[str, Any] = {}
    try:
        spec = model.model_validate(modern, context=valid)
    except ValidationError as error:
        found = [d for d in error.errors(include_url=False) if d["type"] != NOT_CALLED]
        broken = {str(details["loc"][0]) for details in found if details["loc"]}
        sound = {name: value for name, value in valid.items() if name not in broken}
        told = tuple(Explainer(model, SEARCHABLE).problems(found[:MAX_PROBLEMS]))
        return Draft(
            cast("B", model.model_construct(**sound)),
            told,
            frozenset(broken),
            warnings,
            len(found) - len(told),
        )
    return Draft(spec, warnings=warnings)


def stored_spec(document: Mapping[str, Any]) -> SearchSpec:
    """The spec that `SearchSpec.to_json` gave, in this version or an earlier one: a field of the
    recipe that its version did not have is as it was then. It kept to the rules when it was taken,
    so that it is not held to them again.

    Raises:
        SpecError: it names what is not here any more.
    """
    # What says no format is of the first, had the errors of values in deviations, tried nothing
    # before its strategy was asked, and was compared with nothing that it does not name.
    was = {"format": 1, "errors_in": "deviations", "opening": "none", "baselines": []}
    whole = {**was, **document}
    if training := document.get("training"):  # there is none of a table
        whole["training"] = {**RECORDED, **training}
    whole["final"] = {"ties": "number", **document.get("final", {})}
    draft = read(SearchSpec, whole)
    if draft.problems:
        raise SpecError(draft.problems)
    return draft.spec
