"""The command that holds searches against each other: compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json, Patience, Url, client_at
from nasmith.commands.output import (
    EXIT_INTERRUPTED,
    UsageError,
    note,
    print_json,
    print_table,
)
from nasmith.commands.reports import best_after, difference_lines
from nasmith.states import SearchState

if TYPE_CHECKING:
    from nasmith import Client, Search

SearchIds = Annotated[
    list[str], typer.Argument(metavar="SEARCH...", help="Ids of two or more searches.")
]

Seeds = Annotated[
    int,
    typer.Option(
        min=1,
        max=100,
        help="Repeat each search until it has so many seeds, and compare over them. The same "
        "command takes up what it has begun.",
    ),
]

_SCORES = {"search": "in the search", "final": "retrained", "test": "on test"}


def compare(
    search_ids: SearchIds,
    seeds: Seeds = 1,
    patience: Patience = 300,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Compare searches: how good each was after how many trials, and by how much the first is
    better than each of the others, trial by trial, if they share dataset and objective.

    One search is one seed, and what it says of another one is luck as well. With --seeds N the
    searches that are missing are run, and differences have an interval over seeds.
    """
    if len(search_ids) < 2:
        raise UsageError("name two or more searches to compare")
    with client_at(url, patience) as client:
        searches = [client.searches.get(search_id) for search_id in search_ids]
        repeats = _repeats(client, searches, seeds, patience)
        reports = [search.report()["objectives"] for search in searches]
        differences = [
            {"first": searches[0].id, "second": other.id, **found}
            for other in searches[1:]
            for found in searches[0].compare(other)
        ]
        over_seeds = [
            {"first": searches[0].id, "second": other.id, **found}
            for other, runs in zip(searches[1:], repeats[1:], strict=True)
            for found in searches[0].compare_over_seeds(other, repeats[0], runs)
            if seeds > 1
        ]
    answer = {
        "searches": [
            {
                "id": search.id,
                "name": search.name,
                "state": search.state,
                "dataset": search.spec["dataset"],
                "strategy": search.spec["strategy"]["name"],
                "seed": search.spec["seed"],
                "repeats": [run.id for run in runs],
                "objectives": [
                    {key: objective[key] for key in ("metric", "goal", "strategy")}
                    for objective in objectives
                ],
            }
            for search, runs, objectives in zip(searches, repeats, reports, strict=True)
        ],
        "differences": differences,
        "over_seeds": over_seeds,
    }
    if as_json:
        print_json(answer)
        return
    checkpoints = _checkpoints(reports)
    columns = ["search", "strategy", "metric", *(f"after {count}" for count in checkpoints)]
    rows = [
        (
            search.id,
            search.spec["strategy"]["name"],
            objective["metric"],
            *(best_after(objective["strategy"], count) for count in checkpoints),
        )
        for search, objectives in zip(searches, reports, strict=True)
        for objective in objectives
    ]
    print_table(columns, rows)
    for found in differences:
        print(f"\n{found['first']} against {found['second']}, {found['metric']}")
        for line in difference_lines(found):
            print(f"  {line}")
        for line in _over_seeds(over_seeds, found):
            print(f"  {line}")
    if not differences:
        note("They have no difference to show: another dataset or objective, or no results yet.")
    elif seeds == 1:
        note("This is of one seed each: --seeds 5 runs what is needed to say more.")


def _repeats(
    client: Client, searches: Sequence[Search], seeds: int, patience: float
) -> list[list[Search]]:
    """Of each search those with the seeds behind its own, once all have ended. Where one has not
    succeeded, its number is left out of all.
    """
    runs = [
        [search.repeat(search.spec["seed"] + number) for number in range(1, seeds)]
        for search in searches
    ]
    pending = [run for of_one in runs for run in of_one if not run.has_ended]
    if pending:
        note(f"{len(pending)} searches are to end first")
    for run in [*searches, *pending] if seeds > 1 else ():
        _follow(run, patience)
    failed = {
        number: run
        for of_one in runs
        for number, run in enumerate(of_one)
        if run.state != SearchState.SUCCEEDED
    }
    for number, run in failed.items():
        reason = f": {run.state_reason}" if run.state_reason else ""
        note(f"{run.id} {run.state}{reason}; repeat {number + 1} counts for none")
    return [[run for number, run in enumerate(of_one) if number not in failed] for of_one in runs]


def _follow(run: Search, patience: float) -> None:
    from nasmith.progress import show_progress

    if run.has_ended:
        return
    note(f"{run.id} {run.name}")
    try:
        show_progress(run, patience=patience)
    except KeyboardInterrupt:
        note("\nThe searches go on. The same command takes them up.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _over_seeds(found: Sequence[Mapping[str, Any]], of: Mapping[str, Any]) -> Iterator[str]:
    """What there is of the pair and the metric of `of`."""
    for known in found:
        if any(known[key] != of[key] for key in ("first", "second", "metric")):
            continue
        interval = ""
        if known["low"] is not None:
            interval = f" [{known['low']:+.4g}, {known['high']:+.4g}]"
        yield (
            f"{_SCORES.get(known['score'], known['score'])} {known['difference']:+.4g}{interval} "
            f"over {known['seeds']} seeds, better in {known['better']}"
        )


def _checkpoints(reports: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
    """Powers of two and the lengths of the runs."""
    lengths = {objective["strategy"]["trials"] for found in reports for objective in found}
    powers = {2**k for k in range(max(lengths, default=0).bit_length())}
    return sorted((powers | lengths) - {0})
