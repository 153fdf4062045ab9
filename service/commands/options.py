"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.client import Client
    from service.settings import ServiceSettings

SearchId = Annotated[str, typer.Argument(metavar="SEARCH", help="Id of a search, srch_...")]

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="NETSMITH_URL", help="The server. [http://127.0.0.1:8000]"),
]

Json = Annotated[bool, typer.Option("--json", help="Print the data as JSON on stdout.")]

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="NETSMITH_HOME",
        help="Folder of the embedded database, artifacts and logs. [~/.netsmith]",
    ),
]

Patience = Annotated[
    float, typer.Option(min=0, help="Seconds to go on trying while the server is away.")
]


def client_at(url: str | None, patience: float = 3.0) -> Client:
    """Who typed a command sees after `patience` seconds that there is no server."""
    from service.client import Client

    return Client(url, patience=patience)


def settings_of(home: Path | None, **overrides: object) -> ServiceSettings:
    """The settings of the environment, with what the flags say instead.

    Raises:
        UsageError: a setting has no valid value.
    """
    from pydantic import ValidationError

    from service.commands.output import UsageError
    from service.settings import ServiceSettings

    given = {name: value for name, value in overrides.items() if value is not None}
    if home is not None:
        given["home"] = home
    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]  # validated by pydantic
    except ValidationError as error:
        problems = [
            "".join(f"NETSMITH_{str(name).upper()}: " for name in problem["loc"][:1])
            + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_input=False)
        ]
        raise UsageError("\n  ".join(["a setting is wrong", *problems])) from None
