"""`nasmith validate`: what a search means, without a server."""

from __future__ import annotations

from typing import Any

from nasmith.commands.options import Json, Url, client_at
from nasmith.commands.output import UsageError, note, print_json
from nasmith.commands.requests import RequestFile, print_estimate, read_request


def validate(file: RequestFile, url: Url = None, as_json: Json = False) -> None:
    """Check a search and show the size of its space, three example networks and what it costs.

    Checked here, without a server; with --url or NASMITH_URL by that server, which knows its own
    datasets. Nothing is stored.
    """
    request = read_request(file)
    if url:
        with client_at(url) as client:
            answer = client.validate(request)
    else:
        answer = _validate_here(request)
    if as_json:
        print_json(answer)
    else:
        print_estimate(answer)


def _validate_here(request: dict[str, Any]) -> dict[str, Any]:
    """The same answer as a server's, for the datasets that are built in."""
    from search.request.dry_run import estimate
    from search.request.resolve import SpecError, resolve

    try:
        resolved = resolve(request)
    except SpecError as error:
        problems = "\n".join(f"  {found.pointer}: {found.message}" for found in error.problems)
        if any(found.pointer == "/dataset" for found in error.problems):
            problems += "\n  Your own datasets are known to a server: check with --url."
        raise UsageError(f"the search is not valid\n{problems}") from None
    for name in ("warm_start", "memory"):
        if getattr(resolved.spec, name):
            note(f"A server knows the searches of {name}: check them with --url.")
    return {
        "spec": resolved.spec.to_json(),
        "warnings": [warning.to_json() for warning in resolved.warnings],
        **estimate(resolved),
    }
