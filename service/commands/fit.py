"""`nasmith fit`: from a file to a model, in one command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json, Url, key_values
from nasmith.commands.output import (
    EXIT_INTERRUPTED,
    UsageError,
    note,
    print_json,
    print_table,
)
from nasmith.home import key_for
from service.commands.guessed_task import guessed_task
from service.commands.model_folder import refuse_occupied
from service.commands.options import Home, settings_of

if TYPE_CHECKING:
    from nasmith import Client, Search

MOST_TRIALS = 2000
"""That the default strategy learns from: the minutes end a search before."""


def fit(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, .npz, zip, folder or text.")],
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column to predict.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="What the data are for. [told from the target]")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="That the search may take.")] = 10.0,
    trials: Annotated[
        int, typer.Option(min=1, max=100_000, help="Networks that are tried, at most.")
    ] = MOST_TRIALS,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The model. [NAME-model]")
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(min=2, max=50, help="Average so many networks at most, where that is better."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the data: time=, horizon=12."),
    ] = None,
    url: Url = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Search a model for a file of your own, and say how to predict with it.

    On the server at --url or of this home, where one runs; else on one of its own, which ends with
    the command. All families for the task are searched; the data, the search and its model stay in
    the home of the server.
    """
    if not file.exists():
        raise UsageError(f"there is no {file}")
    folder = (out or Path(f"{file.resolve().stem}-model")).absolute()
    refuse_occupied(folder, "--out")
    options = key_values(option or [], "option")
    if task is None:
        task, reason = guessed_task(file, target, options)
        note(f"Taken for {task}: {reason}. --task says otherwise.")
    if target is not None:
        options["target"] = target
    with _server(url, home) as (client, is_own):
        dataset = _dataset(client, file, task, options)
        budget = {"trials": trials, "seconds": 60.0 * minutes}
        request: dict[str, Any] = {"name": file.stem[:200], "dataset": dataset, "budget": budget}
        if ensemble is not None:
            request["ensemble"] = {"size": ensemble}
        if is_own:
            request["resources"] = {"parallel_trials": os.cpu_count() or 1}
        search = client.searches.create(request)
        for warning in search.document.get("warnings") or ():
            if warning["where"] != "/dataset":  # those are told of the dataset
                note(f"warning ({warning['code']}): {warning['message']}")
        note(f"Searching as {search.id}, {minutes:g} minutes at most:")
        _wait(search, is_own=is_own)
        search.download(folder, overwrite=True)
        report = search.report()
        simple = [known for known in report["simple"] if known["failure"] is None]
        result = {
            "search": search.id,
            "verdict": report["verdict"],
            "leaderboard": [*_leaderboard(search), *map(_of_simple, simple)],
            "bundle": str(folder),
        }
    if as_json:
        print_json(result)
    else:
        _print(result, search.spec["objectives"][0]["metric"], file)


@contextmanager
def _server(url: str | None, home: Path | None) -> Iterator[tuple[Client, bool]]:
    """A client of the server, and whether that is one of this command alone."""
    from nasmith import Client
    from service.server.local_server import running_server

    found = url or _running(settings_of(home).home)
    if found is not None:
        key = key_for(found, settings_of(home).home)
        with Client(found, api_key=key, timeout=120, patience=60) as client:
            yield client, False
        return
    folder = settings_of(home).home
    note(f"Starting a server, its data in {folder} ...")
    with (
        running_server(folder, is_home_shared=True) as server,
        Client(server.url, api_key=server.api_key, timeout=120, patience=60) as client,
    ):
        yield client, True


def _running(home: Path) -> str | None:
    """The URL of the server of a home, if one answers."""
    from nasmith import Client, NasmithError
    from service.server.port_file import served_url

    url = served_url(home)
    if url is None:
        return None
    try:
        with Client(url, timeout=10, patience=0) as client:
            client.version()
    except NasmithError:
        return None
    return url


def _dataset(client: Client, file: Path, task: str, options: Mapping[str, Any]) -> str:
    """The name of the uploaded dataset: that of the file and of what it is, so that the same file
    is uploaded once.
    """
    from nasmith import NotFoundError
    from nasmith.states import DatasetState

    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.resolve().stem).strip("-.")[:80] or "data"
    name = f"{stem}-{_digest(file, task, options)[:8]}"
    try:
        found = client.datasets.get(name)
    except NotFoundError:
        found = {}
    if found.get("state") == DatasetState.READY:
        note(f"Uploaded before, as {name}.")
    else:
        found = client.datasets.add(file, name=name, task=task, **options)
        note(f"Uploaded as {name}.")
    for warning in found["warnings"] or ():
        note(f"warning ({warning['code']}): {warning['message']}")
    return name


def _digest(file: Path, task: str, options: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps([task, options], sort_keys=True).encode())
    paths = sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
    for path in paths:
        digest.update(f"\n{path.relative_to(file) if path != file else ''}\n".encode())
        with path.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _wait(search: Search, *, is_own: bool) -> None:
    try:
        search.wait(progress=True)
    except KeyboardInterrupt:
        when = " with the next `nasmith serve`" if is_own else ""
        note(f"\nThe search goes on{when}. Follow it with: nasmith watch {search.id}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _leaderboard(search: Search) -> Iterator[dict[str, Any]]:
    """The retrained networks, the winner first, each with the mean scores of its runs and the mean
    seconds of one; an ensemble with the seconds of its members together.
    """
    from search.engine.stages.finals import FINAL
    from search.trial import TrialState

    seconds: dict[int, list[float]] = {}
    of_runs: dict[int, float] = {}
    for trial in search.trials(kind=FINAL.name, state=TrialState.COMPLETED):
        seconds.setdefault(trial["source"], []).append(trial["seconds"])
        of_runs[trial["number"]] = trial["seconds"]
    for item in search.best():
        final, members = item["final_metrics"], item.get("ensemble")  # older servers give none
        if final is not None:
            name = f"{item['architecture']['family']} (trial {item['trial']})"
            if members:
                name = f"ensemble of {len(members)} (trial {item['trial']})"
                took = sum(of_runs[member["trial"]] for member in members)
            else:
                took = statistics.fmean(seconds[item["trial"]])
            yield {
                "name": name,
                "validation": _means(final, "val_"),
                "test": _means(final, "test_"),
                "seconds": took,
            }


def _of_simple(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: known[name] for name in ("name", "validation", "test", "seconds")}


def _means(final: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {name: spread["mean"] for name, spread in final.items() if name.startswith(prefix)}


def _print(result: Mapping[str, Any], metric: str, file: Path) -> None:
    if result["verdict"] is not None:
        print(f"{result['verdict']}\n")
    shown = f"test_{metric.removeprefix('val_')}"
    rows = [
        (
            entry["name"],
            *(
                _number(entry[of].get(name))
                for of, name in (("validation", metric), ("test", shown))
            ),
            f"{entry['seconds']:.1f}",
        )
        for entry in result["leaderboard"]
    ]
    print_table(["model", metric, shown, "seconds"], rows)
    print(f"\nThe model is in {result['bundle']}, see its README.md. To predict:")
    print(f"  nasmith predict {result['bundle']} NEW{file.suffix} --out predictions.csv")
    print(f"or, without Nasmith: python {result['bundle']}/predict.py NEW{file.suffix}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
