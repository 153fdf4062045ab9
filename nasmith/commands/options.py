"""Options that several commands share."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.output import UsageError

if TYPE_CHECKING:
    from nasmith import Client

SearchId = Annotated[str, typer.Argument(metavar="SEARCH", help="Id of a search, srch_...")]

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="NASMITH_URL", help="The server. [http://127.0.0.1:8000]"),
]

Json = Annotated[bool, typer.Option("--json", help="Print the data as JSON on stdout.")]

Patience = Annotated[
    float, typer.Option(min=0, help="Seconds to go on trying while the server is away.")
]


def client_at(url: str | None, patience: float = 3.0) -> Client:
    """Who typed a command sees after `patience` seconds that there is no server. On the machine of
    the server the key of its home is taken, where no other one is given.
    """
    from nasmith import Client
    from nasmith.client import DEFAULT_URL
    from nasmith.home import home, key_for

    url = url or DEFAULT_URL
    return Client(url, api_key=key_for(url, home()), patience=patience)


def key_values(given: list[str], option: str = "setting") -> dict[str, Any]:
    """From `--setting key=value`, where a value is JSON, or else a string as it stands.

    Raises:
        UsageError: no `=`, or nothing before it.
    """
    return dict(_key_value(text, option) for text in given)


def _key_value(setting: str, option: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not key or not equals:
        raise UsageError(f"--{option} is KEY=VALUE, got {setting!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return key, text
    return key, text if isinstance(value, float) and not math.isfinite(value) else value
