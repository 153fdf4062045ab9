"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
    """Who typed a command sees after `patience` seconds that there is no server."""
    from nasmith import Client

    return Client(url, patience=patience)
