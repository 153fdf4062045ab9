"""Commands about searches: submit, list, watch, show, trials, download, cancel, pause, resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json, Patience, SearchId, Url, client_at
from nasmith.commands.output import (
    EXIT_FAILED_SEARCH,
    EXIT_INTERRUPTED,
    note,
    print_json,
    print_table,
)
from nasmith.commands.requests import (
    RequestFile,
    note_warnings,
    print_estimate,
    read_request,
)
from nasmith.states import SearchState

if TYPE_CHECKING:
    from nasmith import Search

_SHOWN_METRICS = (
    *("search_score", "final_score"),  # of a table of known results
    *("val_", "test_", "parameters", "flops", "latency_ms", "train_seconds"),
)


def submit(
    file: RequestFile,
    name: Annotated[str | None, typer.Option(help="Name of the search.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to its end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it means; nothing is stored.")
    ] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and search give the same search again.")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Submit a search and print its id.

    With --dry-run the server says how large the space is, shows three example networks, and
    estimates the cost.
    """
    request = read_request(file)
    if name is not None:
        request["name"] = name
    with client_at(url) as client:
        if dry_run:
            answer = client.validate(request)
            print_json(answer) if as_json else print_estimate(answer)
            return
        search = client.searches.create(request, idempotency_key=idempotency_key)
        note_warnings(search.document)
        if watch:
            note(f"Submitted {search.id}")
            _watch(search, patience=300, as_json=as_json)
        elif as_json:
            print_json(search.document)
        else:
            print(search.id)
            note(f"Follow it with: nasmith watch {search.id}")


def list_searches(
    state: Annotated[str | None, typer.Option(help="Only searches in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List searches, newest first."""
    with client_at(url) as client:
        found = list(islice(client.searches.list(state=state, page_size=min(limit, 100)), limit))
    if as_json:
        print_json([search.document for search in found])
        return
    from nasmith.progress import best_so_far

    rows = [
        (s.id, s.state, _done(s), best_so_far(s), s.document["created_at"], s.name) for s in found
    ]
    print_table(["id", "state", "trials", "best", "created", "name"], rows)


def watch(
    search_id: SearchId, patience: Patience = 300, url: Url = None, as_json: Json = False
) -> None:
    """Follow a search to its end, also through restarts of the server.

    Exits with 0 when it succeeded, with 1 when it failed or was cancelled.
    """
    with client_at(url, patience) as client:
        _watch(client.searches.get(search_id), patience, as_json)


def _watch(search: Search, patience: float, as_json: bool) -> None:
    from nasmith.progress import show_progress, summary

    try:
        show_progress(search, patience=patience)
    except KeyboardInterrupt:
        note(f"\nThe search goes on. Follow it with: nasmith watch {search.id}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        print_json(search.document)
    else:
        best = search.best()
        _print_verdict(best)
        print(f"{search.id} {summary(search)}")
        if any(item["bundle"] for item in best):  # a table has none
            note(f"Get the model with: nasmith download {search.id}")
    if search.state != SearchState.SUCCEEDED:
        raise typer.Exit(EXIT_FAILED_SEARCH)


def show(
    search_id: SearchId,
    svg: Annotated[
        Path | None, typer.Option(help="Write the picture of the best network here, and no more.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(min=0, help="With --svg: of this trial instead.")
    ] = None,
    beside: Annotated[
        int | None,
        typer.Option(min=0, help="With --svg: and this trial beside it, what differs marked."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show a search: its state, its progress and its best networks so far."""
    if svg is None and (trial, beside) != (None, None):
        raise typer.BadParameter("--trial and --beside are of a picture: say --svg FILE too")
    with client_at(url) as client:
        search = client.searches.get(search_id)
        if svg is not None:
            svg.write_text(search.picture(trial, beside=beside), encoding="utf-8")
            print_json({"picture": str(svg)}) if as_json else print(svg)
            return
        best = search.best()
    if as_json:
        print_json({**search.document, "best_items": best})
        return
    from nasmith.progress import summary

    _print_verdict(best)
    document = search.document
    objectives = [f"{o['goal']} {o['metric']}" for o in search.spec["objectives"]]
    rows = [
        ("id", search.id),
        ("name", search.name),
        ("state", summary(search)),
        ("dataset", search.spec["dataset"]),
        ("family", ", ".join(_families(search.spec["space"]))),
        ("strategy", search.spec["strategy"]["name"]),
        ("objectives", ", ".join(objectives)),
        ("created", document["created_at"]),
        ("started", document["started_at"]),
        ("ended", document["ended_at"]),
    ]
    for key, value in rows:
        print(f"{key:<11}{'' if value is None else value}".rstrip())
    for item in best:
        print(f"\nbest: trial {item['trial']}{_of_members(item)}")
        for line in _scores(item):
            print(f"  {line}")


def _of_members(item: dict[str, Any]) -> str:
    """Of an ensemble: the final trials that it is the mean of."""
    members = item.get("ensemble")  # older servers give none
    if not members:
        return ""
    shares = ", ".join(f"{member['share']:.0%} trial {member['trial']}" for member in members)
    return f", an ensemble of {len(members)} networks: {shares}"


def _families(space: dict[str, Any] | list[dict[str, Any]]) -> list[str]:
    """Of the space of a search, which has one family or several."""
    return [member["family"] for member in (space if isinstance(space, list) else [space])]


def trials(
    search_id: SearchId,
    state: Annotated[str | None, typer.Option(help="Only trials in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only trials of this kind.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many; default: all.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the trials of a search."""
    with client_at(url) as client:
        search = client.searches.get(search_id)
        found = list(islice(search.trials(state=state, kind=kind), limit))
    if as_json:
        print_json(found)
        return
    metrics = [objective["metric"] for objective in search.spec["objectives"]]
    shown = [*metrics, *(m for m in ("test_accuracy", "parameters") if m not in metrics)]
    shown = [m for m in shown if any(m in trial["metrics"] for trial in found)]
    rows = [
        (
            trial["number"],
            trial["kind"],
            trial["state"],
            *(_number(trial["metrics"].get(metric)) for metric in shown),
            _number(trial["seconds"]),
            (trial["failure"] or {}).get("message") or trial["diagnosis"] or "",
        )
        for trial in found
    ]
    print_table(["trial", "kind", "state", *shown, "seconds", "failure"], rows)


def download(
    search_id: SearchId,
    directory: Annotated[
        Path | None, typer.Argument(help="Where to unpack it; default: the id of the search.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(min=0, help="A final trial; default: the best.")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="onnx or pt2: only model.onnx or model.pt2, into the folder, by default this one; "
            "the server makes it where it has not."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older bundle.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Download the best model as a folder that runs without Nasmith."""
    with client_at(url) as client:
        search = client.searches.get(search_id)
        if format is not None:
            file = search.download_as(format, directory or ".", trial=trial, overwrite=force)
            print_json({"file": str(file)}) if as_json else print(file)
            return
        folder = search.download(directory or Path(search.id), trial=trial, overwrite=force)
    if as_json:
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        print_json({"directory": str(folder), "files": files})
    else:
        print(folder)


def cancel(search_id: SearchId, url: Url = None, as_json: Json = False) -> None:
    """End a search; the results that it has are kept."""
    _act("cancel", search_id, url, as_json)


def pause(search_id: SearchId, url: Url = None, as_json: Json = False) -> None:
    """Pause a search: running trials end, no new one starts."""
    _act("pause", search_id, url, as_json)


def resume(search_id: SearchId, url: Url = None, as_json: Json = False) -> None:
    """Take up a paused search."""
    _act("resume", search_id, url, as_json)


def _act(action: str, search_id: str, url: str | None, as_json: bool) -> None:
    with client_at(url) as client:
        search = client.searches.get(search_id)
        getattr(search, action)()
    if as_json:
        print_json(search.document)
    else:
        print(f"{search.id} {search.state}")
        note(f"The server will {action} it.")


def _done(search: Search) -> str:
    return f"{search.progress['trials_done']}/{search.progress['trials_total']}"


def _print_verdict(best: Sequence[dict[str, Any]]) -> None:
    """The first line of what is said of a winner that is no better than what knows nothing."""
    if best and (verdict := best[0].get("verdict")):  # older servers give none
        print(verdict)


def _scores(item: dict[str, Any]) -> Iterator[str]:
    """One line a metric of `best`: as the search saw it, and after the final training, beside what
    knows nothing of the inputs.
    """
    search, final = item["search_metrics"], item["final_metrics"] or {}
    floor = item.get("baseline") or {}  # older servers give none
    names = [name for name in {**search, **final} if name.startswith(_SHOWN_METRICS)]
    for name in sorted(names, key=lambda name: _SHOWN_METRICS.index(_shown_as(name))):
        seen = f"{search[name]:.6g}" if name in search else ""
        spread = final.get(name)
        retrained = f"final {_spread(spread)}" if spread else ""
        known = f"baseline {floor[name]:.6g}" if name in floor else ""
        yield f"{name:<20}{seen:<14}{retrained:<32}{known}".rstrip()


def _spread(known: dict[str, Any]) -> str:
    """One run has no deviation to tell."""
    mean = f"{known['mean']:.6g}"
    return f"{mean} ± {known['std']:.2g}" if known["seeds"] > 1 else f"{mean} (one run)"


def _shown_as(name: str) -> str:
    return next(prefix for prefix in _SHOWN_METRICS if name.startswith(prefix))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
