"""`nasmith datasets`: your own data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nasmith.commands.options import Json, Url, client_at, key_values
from nasmith.commands.output import UsageError, note, print_json, print_table
from nasmith.folder import left_out

app = typer.Typer(help="Your own data: add, list, show, delete.", no_args_is_help=True)

_SHOWN = 20
"""Names of files in a list."""

Name = Annotated[str, typer.Argument(metavar="DATASET", help="Name of a dataset.")]


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, .npz, zip, folder or text.")],
    task: Annotated[str, typer.Option(help="What the data are for: tabular_classification, ...")],
    name: Annotated[str | None, typer.Option(help="That searches use. [the file's name]")] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="The column to predict; may be given again.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The column with the text.")] = None,
    time: Annotated[str | None, typer.Option(help="The column with the time.")] = None,
    window: Annotated[int | None, typer.Option(help="Steps or tokens that are seen.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Time steps to forecast.")] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Keep what has no target, to pretrain on.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=KIND",
            help="number, boolean, category, date, text, identifier, constant or ignore.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Any other option: decimal=, encoding=latin-1."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help='JSON: {"validation": 0.2, "test": 0.2, "seed": 0}')
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Upload a dataset and print its name. Of a folder all files are sent but hidden ones and what
    an operating system leaves there, which are listed; the server lists what it has no use for.
    """
    options: dict[str, Any] = {"text": text, "time": time, "window": window, "horizon": horizon}
    if target:
        options["target"] = target[0] if len(target) == 1 else target
    if unlabelled:
        options["unlabelled"] = True
    if column:
        options["columns"] = {
            name: str(kind) for name, kind in key_values(column, "column").items()
        }
    options |= key_values(option or [], "option")
    if split is not None:
        try:
            options["split"] = json.loads(split)
        except ValueError as error:
            raise UsageError(f"--split is no JSON: {error}") from None
    if file.is_dir() and (names := left_out(file)):
        more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
        note(f"left out: {', '.join(names[:_SHOWN])}{more}")
    with client_at(url) as client:
        dataset = client.datasets.add(file, name=name, task=task, **options)
    if as_json:
        print_json(dataset)
    else:
        print(dataset["name"])
        note(dataset["description"])
        for warning in dataset["warnings"] or ():
            note(f"warning ({warning['code']}): {warning['message']}")


@app.command("list")
def list_datasets(url: Url = None, as_json: Json = False) -> None:
    """List the datasets that a search can name."""
    with client_at(url) as client:
        found = list(client.datasets.list())
    if as_json:
        print_json(found)
        return
    rows = [(d["name"], d["task"], d["source"], d["description"]) for d in found]
    print_table(["name", "task", "source", "description"], rows)


@app.command()
def show(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Show a dataset: its task, its shapes, its samples."""
    with client_at(url) as client:
        dataset = client.datasets.get(name)
    if as_json:
        print_json(dataset)
        return
    apart = ("columns", "warnings")
    rows = [
        (key, value) for key, value in dataset.items() if value is not None and key not in apart
    ]
    print_table(["", ""], rows)
    if columns := dataset["columns"]:
        print()
        shown = ("name", "kind", "role", "missing", "distinct", "example", "note")
        print_table(shown, [[column[key] for key in shown] for column in columns])
    for warning in dataset["warnings"] or ():
        print(f"\n{warning['code']}: {warning['message']}")


@app.command()
def delete(name: Name, url: Url = None) -> None:
    """Delete an uploaded dataset that no search needs any more."""
    with client_at(url) as client:
        client.datasets.delete(name)
    note(f"Deleted {name}")
