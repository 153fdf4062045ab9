"""Commands that look back at searches: report, compare, replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.heat_map import heat_map
from nasmith.commands.options import Home, Json, SearchId, Url, client_at, settings_of
from nasmith.commands.output import (
    EXIT_FAILED_SEARCH,
    UsageError,
    note,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from nasmith import Search
    from search.request.dataset_facts import DatasetFacts

SearchIds = Annotated[
    list[str], typer.Argument(metavar="SEARCH...", help="Ids of two or more searches.")
]


def report(search_id: SearchId, url: Url = None, as_json: Json = False) -> None:
    """Show how a search went: its best so far, its baseline, which decisions mattered."""
    with client_at(url) as client:
        found = client.searches.get(search_id).report()
    if as_json:
        print_json(found)
        return
    for number, objective in enumerate(found["objectives"]):
        print(f"{'' if number == 0 else chr(10)}{objective['goal']} {objective['metric']}")
        for line in _lines(objective):
            print(f"  {line}")
    for name, known in found["rank_correlations"].items():
        print(
            f"{name} ranked {known['trials']} trials: Spearman {known['spearman']:.2f}, "
            f"Kendall {known['kendall']:.2f}"
        )
    _print_supernets(found["supernets"])


def compare(search_ids: SearchIds, url: Url = None, as_json: Json = False) -> None:
    """Compare searches: how good each was after how many trials, and by how much the first is
    better than each of the others, trial by trial, if they share dataset and objective.
    """
    if len(search_ids) < 2:
        raise UsageError("name two or more searches to compare")
    with client_at(url) as client:
        searches = [client.searches.get(search_id) for search_id in search_ids]
        reports = [search.report()["objectives"] for search in searches]
        differences = list(_differences(searches))
    answer = {
        "searches": [
            {
                "id": search.id,
                "name": search.name,
                "state": search.state,
                "dataset": search.spec["dataset"],
                "strategy": search.spec["strategy"]["name"],
                "seed": search.spec["seed"],
                "objectives": [
                    {key: objective[key] for key in ("metric", "goal", "strategy")}
                    for objective in objectives
                ],
            }
            for search, objectives in zip(searches, reports, strict=True)
        ],
        "differences": differences,
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
            *(_best_after(objective["strategy"], count) for count in checkpoints),
        )
        for search, objectives in zip(searches, reports, strict=True)
        for objective in objectives
    ]
    print_table(columns, rows)
    for found in differences:
        print(f"\n{found['first']} against {found['second']}, {found['metric']}")
        for line in _difference_lines(found):
            print(f"  {line}")
    if not differences:
        note("They have no difference to show: another dataset or objective, or no results yet.")


def replay(search_id: SearchId, home: Home = None, url: Url = None, as_json: Json = False) -> None:
    """Prove that a search can be repeated: asked and told again in the recorded order, its
    strategy proposes the same networks.

    Exits with 1 and the first difference where it does not. An uploaded table, or proxies on
    uploaded data, need the home of the server.
    """
    with client_at(url) as client:
        search = client.searches.get(search_id)
        if search.state == "running":
            raise UsageError(f"{search.id} is running; replay it when it has ended or is paused")
        from search.request.resolve import SpecError
        from service.commands.replaying import facts_from, replayed

        def lookup(name: str) -> DatasetFacts:
            document = client.datasets.get(name)
            proxies = search.spec.get("proxies") or search.spec["strategy"].get("proxies")
            needs_data = document["task"] == "table" or proxies
            if document["source"] == "uploaded" and needs_data:
                return own_facts(home, search.id, name)
            return facts_from(document)

        try:
            answer = {"search": search.id, **replayed(search.spec, search.trials(), lookup)}
        except SpecError as error:
            raise UsageError(f"{search.id} cannot be replayed here: {error}") from None
    difference = answer["difference"]
    if as_json:
        print_json(answer)
    elif difference is None:
        print(f"{search.id} {answer['asks']} proposals are the same again")
    else:
        print(f"{search.id} {answer['differences']} of {answer['asks']} proposals differ")
        for name, value in difference.items():
            print(f"  {name:<9} {value}")
    if difference is not None:
        raise typer.Exit(EXIT_FAILED_SEARCH)


def own_facts(home: Path | None, search_id: str, name: str) -> DatasetFacts:
    """Of a dataset in the database of this machine's server."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.sql.database import connect
    from service.sql.dataset_facts import TenantDatasets
    from service.sql.tables import Search as SearchRow

    settings = settings_of(home)
    elsewhere = UsageError(
        f"the data of {name!r} are needed, which are only where its server runs, and "
        f"{settings.home} is not the home of that server: --home"
    )
    sessions = connect(settings.database_url)
    try:
        with sessions.read() as session:
            search = session.get(SearchRow, search_id)
        if search is None:
            raise elsewhere
        return TenantDatasets(sessions, search.tenant_id, settings.store_url)(name)
    except SQLAlchemyError:
        raise elsewhere from None
    finally:
        sessions.engine.dispose()


def _lines(objective: Mapping[str, Any]) -> Iterator[str]:
    for name in ("strategy", "baseline"):
        course = objective[name]
        if course is not None:
            best = _best_after(course, course["trials"])
            yield f"{name:<11}{best} after {course['trials']} trials"
    for known in objective["presets"]:
        value = "no result" if known["value"] is None else f"{known['value']:.6g}"
        yield f"{known['preset']:<11}{value} in trial {known['trial']}"
    if objective["difference"] is not None:
        yield from _difference_lines(objective["difference"])
    for item in objective["importance"]:
        yield f"{item['share']:>6.1%}  {item['decision']}"


def _print_supernets(supernets: Sequence[Mapping[str, Any]]) -> None:
    """Each with the entropy of its rows over the epochs, dark while nothing is decided."""
    if not supernets:
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for known in supernets:
        console.print(f"\nsupernet {known['trial']} ({known['method']}): {known['ending']}")
        for line in heat_map(known["rows"], known["entropy"]):
            console.print(f"  {line}")
        for name in ("skip_share", "hessian_eigenvalue"):
            values = [value for value in known[name] if value is not None]
            if values:
                console.print(f"  {name} {values[0]:.3g} to {values[-1]:.3g}")
        if known["discretisation_gap"] is not None:
            console.print(f"  discretisation gap {known['discretisation_gap']:+.4g}")


def _difference_lines(difference: Mapping[str, Any]) -> Iterator[str]:
    for name in ("final", "mean"):
        found = difference[name]
        interval = ""
        if found["low"] is not None:
            interval = f" [{found['low']:+.4g}, {found['high']:+.4g}]"
        what = "of the best" if name == "final" else "of the mean"
        yield f"{what} {found['difference']:+.4g}{interval} over {difference['trials']} trials"


def _best_after(course: Mapping[str, Any], trials: int) -> str:
    reached = [step["value"] for step in course["best_so_far"] if step["trials"] <= trials]
    return f"{reached[-1]:.6g}" if reached and trials <= course["trials"] else ""


def _checkpoints(reports: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
    """Powers of two and the lengths of the runs."""
    lengths = {objective["strategy"]["trials"] for found in reports for objective in found}
    powers = {2**k for k in range(max(lengths, default=0).bit_length())}
    return sorted((powers | lengths) - {0})


def _differences(searches: Sequence[Search]) -> Iterator[dict[str, Any]]:
    """The first search against each of the others."""
    from search.results.comparison import paired_difference

    runs = [_runs(search) for search in searches]
    for index in range(1, len(searches)):
        first, second = searches[0], searches[index]
        if first.document["dataset_fingerprint"] != second.document["dataset_fingerprint"]:
            continue
        for metric in sorted(runs[0].keys() & runs[index].keys()):
            difference = paired_difference(runs[0][metric], runs[index][metric])
            if difference is not None:
                named = {"first": first.id, "second": second.id, "metric": metric[0]}
                yield {**named, **difference}


def _runs(search: Search) -> dict[tuple[str, str], list[float | None]]:
    """For each objective, the fitness of every trial that counts, in the order of asking."""
    counted = [
        trial["fitness"]
        for trial in search.trials(kind="candidate")
        if trial["state"] not in ("running", "cached")
        and (trial["failure"] or {}).get("kind") != "infeasible"
    ]
    return {
        (objective["metric"], objective["goal"]): [
            None if fitness is None else fitness[index] for fitness in counted
        ]
        for index, objective in enumerate(search.spec["objectives"])
    }
