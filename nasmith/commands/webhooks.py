"""`nasmith webhooks`: whom the server tells of the end of a search."""

from __future__ import annotations

from typing import Annotated

import typer

from nasmith.commands.options import Json, Url, client_at
from nasmith.commands.output import note, print_json, print_table

app = typer.Typer(help="Webhooks: create, list, delete, deliveries.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Id of a webhook, hook_...")]


@app.command()
def create(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="https://... that is told.")],
    event: Annotated[
        list[str] | None,
        typer.Option(help="search.succeeded, search.failed or search.cancelled. [all]"),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Be told of the end of searches, and print the secret that signs it, this once."""
    with client_at(url) as client:
        made = client.webhooks.create(target, events=event)
    if as_json:
        print_json(made)
        return
    print(made["secret"])
    note(f"{made['id']}: {', '.join(made['events'])} to {made['url']}")
    note("The secret is not shown again. See https://www.standardwebhooks.com for how to verify.")


@app.command("list")
def list_webhooks(url: Url = None, as_json: Json = False) -> None:
    """List webhooks, newest first."""
    with client_at(url) as client:
        found = client.webhooks.list()
    if as_json:
        print_json(found)
        return
    rows = [[hook["id"], hook["url"], " ".join(hook["events"])] for hook in found]
    print_table(["id", "url", "events"], rows)


@app.command()
def delete(webhook_id: WebhookId, url: Url = None) -> None:
    """Be told no more; what has not been sent is not."""
    with client_at(url) as client:
        client.webhooks.delete(webhook_id)
    note(f"Deleted {webhook_id}")


@app.command()
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[
        str | None, typer.Option(help="pending, delivered, or dead: given up. [all]")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List what was sent or is to be, newest first, with what became of it."""
    with client_at(url) as client:
        found = list(client.webhooks.deliveries(webhook_id, state=state))
    if as_json:
        print_json(found)
        return
    shown = ("id", "type", "search", "state", "attempts", "next_at", "error")
    print_table(shown, [[delivery[column] for column in shown] for delivery in found])
