"""From the body of a request to what is stored.

What this needs of `models` and `search` imports torch, which takes seconds: it is imported when it
is first used, or by `warm_up` in the background of a server that already answers.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

from service.api.searches.room import require_room
from service.refusals import MAX_ERRORS, InvalidError, ProblemItem, item, pointer
from service.sql.database import Sessions
from service.sql.searches import Submission

if TYPE_CHECKING:
    from pydantic import BaseModel

    from search.memory import Memory
    from search.problems import SpecError, SpecWarning
    from search.request.dataset_facts import Lookup
    from search.request.resolve import Resolved
    from search.spec import SearchSpec
    from search.trial import Trial

_PATCHABLE = {"budget": ("trials", "seconds"), "resources": ("parallel_trials",)}


def warm_up() -> None:
    """Import what the first request would wait for."""
    import search.request.resolve  # noqa: F401 - for its effect

    patch_model()


def warm_up_costs() -> None:
    """Import what the first dry run, or limit on parameters or FLOPs, would wait for: networks that
    are built without memory need much of torch that others do not.
    """
    from search.request.dry_run import estimate
    from search.request.resolve import resolve

    estimate(resolve({"dataset": "digits", "space": {"family": "transformer"}}))


def submission(body: object, lookup: Lookup, sessions: Sessions, tenant_id: str) -> Submission:
    """
    Raises:
        InvalidError: everything that is wrong with the body, at once.
    """
    resolved = _resolve(body, lookup)
    if resolved.source.trains:
        require_room(resolved.spec.resources, sessions)
    trials = _taken_over(resolved, sessions, tenant_id)
    memory, told = _remembered(resolved, lookup, sessions, tenant_id)
    return Submission(
        spec=resolved.spec,
        dataset_fingerprint=resolved.dataset.fingerprint,
        versions=_versions(),
        warnings=(*resolved.warnings, *told),
        taken_over=trials,
        memory=memory,
        floor=resolved.floor,
        names_upload=not isinstance(resolved.dataset.reference, str),
    )


def dry_run(body: object, lookup: Lookup, sessions: Sessions, tenant_id: str) -> dict[str, Any]:
    """The resolved request, the size of its space, example networks, an estimate of the cost.

    Raises:
        InvalidError: everything that is wrong with the body, at once.
    """
    from search.request.dry_run import estimate
    from service.sql.memory import summaries

    resolved = _resolve(body, lookup)
    if resolved.source.trains:
        require_room(resolved.spec.resources, sessions)
    trials = _taken_over(resolved, sessions, tenant_id)
    memory, told = _remembered(resolved, lookup, sessions, tenant_id)
    return {
        "spec": resolved.spec.to_json(),
        "warnings": [warning.to_json() for warning in (*resolved.warnings, *told)],
        "warm_start_trials": len(trials),
        "memory": summaries(memory),
        **estimate(resolved),
    }


def dry_run_of_space(body: object, lookup: Lookup) -> dict[str, Any]:
    """The same for a space alone: its size and example networks.

    Raises:
        InvalidError: everything that is wrong with the body, at once.
    """
    from search.problems import SpecError
    from search.request.dry_run import describe
    from search.request.space_request import resolve_space

    try:
        return describe(resolve_space(body, lookup))
    except SpecError as error:
        raise _invalid(error) from None


def patched(document: Mapping[str, Any], patch: object) -> tuple[SearchSpec, SearchSpec]:
    """A stored spec, and what it is after a JSON merge patch (RFC 7396) of the fields that may
    change.

    Raises:
        InvalidError: another field, or a value that the request would not have taken either.
    """
    from pydantic import BaseModel, ValidationError

    from search.request.read import stored_spec

    try:
        changes = patch_model().model_validate(patch)
    except ValidationError as error:
        told = islice(error.errors(include_url=False), MAX_ERRORS)
        raise InvalidError([_item(found) for found in told], error.error_count()) from None
    spec = stored_spec(document)
    changed: dict[str, Any] = {}
    for name in changes.model_fields_set:
        part = getattr(changes, name)
        if isinstance(part, BaseModel):
            given = {field: getattr(part, field) for field in part.model_fields_set}
            part = getattr(spec, name).model_copy(update=given)
        changed[name] = part
    return spec, spec.model_copy(update=changed)


@lru_cache(1)
def patch_model() -> type[BaseModel]:
    """The body of a PATCH: fields of the request, with the rules that they have there."""
    from annotated_types import MinLen
    from pydantic import create_model
    from pydantic.fields import FieldInfo

    from models.settings import Settings
    from search.spec import SearchSpec

    def part(title: str, whole: type[BaseModel], names: tuple[str, ...]) -> type[Settings]:
        fields: dict[str, Any] = {
            name: (
                whole.model_fields[name].rebuild_annotation(),
                FieldInfo(default=whole.model_fields[name].default),
            )
            for name in names
        }
        return create_model(title, __base__=Settings, **fields)

    name = SearchSpec.model_fields["name"].rebuild_annotation()
    fields: dict[str, Any] = {"name": (Annotated[name, MinLen(1)], FieldInfo(default="-"))}
    for key, names in _PATCHABLE.items():
        whole = SearchSpec.model_fields[key].annotation
        assert isinstance(whole, type)  # noqa: S101 - for the type checker
        model = part(f"{key.title()}Patch", whole, names)
        fields[key] = (model, FieldInfo(default_factory=model))
    return create_model(
        "SearchPatch",
        __base__=Settings,
        __doc__="A JSON merge patch (RFC 7396): what is left out stays as it is.",
        **fields,
    )


def _resolve(body: object, lookup: Lookup) -> Resolved:
    from search.request.resolve import SpecError, resolve

    try:
        return resolve(body, lookup)
    except SpecError as error:
        raise _invalid(error) from None


def _taken_over(resolved: Resolved, sessions: Sessions, tenant_id: str) -> list[Trial]:
    """What the search begins with."""
    from search.request.resolve import SpecError
    from search.request.warm_start import taken_over
    from service.sql.warm_start import earlier_search

    try:
        return taken_over(resolved, partial(earlier_search, sessions, tenant_id))
    except SpecError as error:
        raise _invalid(error) from None


def _remembered(
    resolved: Resolved, lookup: Lookup, sessions: Sessions, tenant_id: str
) -> tuple[Memory, list[SpecWarning]]:
    """What the search remembers of earlier ones, and what to tell its client of that."""
    from search.request.memory import remembered
    from search.request.resolve import SpecError
    from service.sql.memory import PastSearches

    try:
        return remembered(resolved, PastSearches(sessions, tenant_id), lookup)
    except SpecError as error:
        raise _invalid(error) from None


def _invalid(error: SpecError) -> InvalidError:
    told = [item("body", found.pointer, found.message) for found in error.problems]
    return InvalidError(told, error.count)


def _item(found: Mapping[str, Any]) -> ProblemItem:
    received = found["input"]
    shown = f", got {received!r}"[:100] if isinstance(received, str | int | float) else ""
    return item("body", pointer(found["loc"]), f"{found['msg']}{shown}")


@lru_cache(1)
def _versions() -> dict[str, str]:
    """Of what shapes the result of a search."""
    from search.plugins import plugin_versions

    own = {name: importlib.metadata.version(name) for name in ("nasmith", "torch", "ray", "numpy")}
    return plugin_versions() | own
