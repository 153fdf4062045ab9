"""`nasmith keys`: who may come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from nasmith.commands.options import Json, Url, client_at
from nasmith.commands.output import note, print_json, print_table

app = typer.Typer(help="API keys: create, list, revoke; for admins.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, write or admin; may be given again. [read, write]"),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="That it is good for. [no end]")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose it is; another one than your own is new or known.")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once: the server keeps a hash of it alone."""
    end = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with client_at(url) as client:
        made = client.keys.create(
            name, scopes=scope or ("read", "write"), expires_at=end, tenant=tenant
        )
    if as_json:
        print_json(made)
        return
    print(made["key"])
    until = made["expires_at"] or "it is revoked"
    note(f"{made['id']}: {', '.join(made['scopes'])} for {made['tenant']}, until {until}")
    note("It is not shown again. Clients take it from NASMITH_API_KEY.")


@app.command("list")
def list_keys(url: Url = None, as_json: Json = False) -> None:
    """List keys, newest first, those that open nothing any more too."""
    with client_at(url) as client:
        found = list(client.keys.list())
    if as_json:
        print_json(found)
        return
    shown = ("id", "tenant", "name", "hint", "state", "expires_at", "last_used_at")
    rows = [[*(key[column] for column in shown), " ".join(key["scopes"])] for key in found]
    print_table([*shown, "scopes"], rows)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, key_...")],
    url: Url = None,
) -> None:
    """Revoke a key: within a second it opens nothing."""
    with client_at(url) as client:
        client.keys.revoke(key_id)
    note(f"Revoked {key_id}")
