"""Options that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

    from nasmith import Client
    from nasmith.commands.output import UsageError
    from service.settings import ServiceSettings

SearchId = Annotated[str, typer.Argument(metavar="SEARCH", help="Id of a search, srch_...")]

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="NASMITH_URL", help="The server. [http://127.0.0.1:8000]"),
]

Json = Annotated[bool, typer.Option("--json", help="Print the data as JSON on stdout.")]

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="NASMITH_HOME",
        help="Folder of the embedded database, artifacts and logs. [~/.nasmith]",
    ),
]

Patience = Annotated[
    float, typer.Option(min=0, help="Seconds to go on trying while the server is away.")
]


def client_at(url: str | None, patience: float = 3.0) -> Client:
    """Who typed a command sees after `patience` seconds that there is no server."""
    from nasmith import Client

    return Client(url, patience=patience)


def settings_of(home: Path | None, **overrides: object) -> ServiceSettings:
    """The settings of the environment, with what the flags say instead.

    Raises:
        UsageError: a setting has no valid value.
    """
    from pydantic import ValidationError

    from nasmith.commands.output import UsageError
    from service.settings import ServiceSettings

    given = {name: value for name, value in overrides.items() if value is not None}
    if home is not None:
        given["home"] = home
    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]  # validated by pydantic
    except ValidationError as error:
        problems = [
            "".join(f"NASMITH_{str(name).upper()}: " for name in problem["loc"][:1])
            + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_input=False)
        ]
        raise UsageError("\n  ".join(["a setting is wrong", *problems])) from None


def key_values(given: list[str]) -> dict[str, Any]:
    """From `--setting key=value`, where a value is JSON, or else a string as it stands.

    Raises:
        UsageError: no `=`, or nothing before it.
    """
    return dict(map(_key_value, given))


def _key_value(setting: str) -> tuple[str, Any]:
    from nasmith.commands.output import UsageError

    key, equals, text = setting.partition("=")
    if not key or not equals:
        raise UsageError(f"--setting is KEY=VALUE, got {setting!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return key, text
    return key, text if isinstance(value, float) and not math.isfinite(value) else value


def wrong_setting(whose: str, error: ValidationError) -> UsageError:
    """What a person reads of settings that pydantic refused."""
    from nasmith.commands.output import UsageError

    problems = [
        f"{'.'.join(map(str, found['loc'])) or whose}: {found['msg']}"
        for found in error.errors(include_url=False, include_context=False)
    ]
    return UsageError("\n  ".join([f"a setting of {whose} is wrong", *problems]))
