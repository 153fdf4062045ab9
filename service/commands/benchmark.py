"""Benchmarks that need neither a server nor a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json, key_values
from nasmith.commands.output import UsageError, note, print_json, print_table
from service.commands.options import wrong_setting

if TYPE_CHECKING:
    from search.benchmark import Course
    from search.evaluators.tabular import Table
    from search.strategy import StrategySettings

app = typer.Typer(help="Measure strategies on tables of known results.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure strategies on tables of known results."""


@app.command("strategies")
def strategies_on_a_table(
    table: Annotated[Path, typer.Option(metavar="FILE.npz", help="The table of results.")],
    strategy: Annotated[str, typer.Option(metavar="NAME", help="A strategy of the catalog.")],
    setting: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A setting of the strategy; may be repeated."),
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="Distinct architectures a seed.")] = 300,
    seeds: Annotated[int, typer.Option(min=1, help="Independent runs, seeds 0, 1, ...")] = 30,
    as_json: Json = False,
) -> None:
    """Run a strategy on a table, in this process, and report how soon it finds the best.

    A query is a distinct architecture whose search score was looked up; repeats and combinations
    that the table lacks are free. Scores are those of the incumbent by search score.
    """
    from search.benchmark import benchmark

    settings = _settings(strategy, setting or [])
    known = _table(table)

    def on_seed(seed: int, course: Course) -> None:
        best, final = course.incumbent(queries)
        note(f"seed {seed}: search score {best:.3f}, final score {final:.3f}")

    result = benchmark(known, strategy, settings, queries, seeds, on_seed)
    if as_json:
        print_json(result)
    else:
        _print_result(result)


def _settings(strategy: str, given: list[str]) -> StrategySettings:
    from pydantic import ValidationError

    from models.registry import UnknownNameError
    from search.strategies.weight_sharing import candidate_strategies
    from search.strategy import ScoredSettings, strategies

    try:
        if strategy in strategies and strategy not in (able := candidate_strategies()):
            message = f"{strategy} trains a supernet, which no table holds; use {', '.join(able)}"
            raise UsageError(message)
        settings = strategies[strategy].Settings.model_validate(key_values(given))
    except UnknownNameError as error:
        raise UsageError(str(error)) from None
    except ValidationError as error:
        raise wrong_setting(strategy, strategies[strategy].Settings, error) from None
    if isinstance(settings, ScoredSettings) and settings.proxies:
        raise UsageError("proxies: a table has no networks to score")
    return settings


def _table(file: Path) -> Table:
    from search.evaluators.tabular import Table, TableError

    try:
        return Table.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except TableError as error:
        raise UsageError(f"{file} is no table: {error}") from None


def _print_result(result: dict[str, Any]) -> None:
    columns = ["queries", "search score", "", "final score", ""]
    scores = [
        values
        for name in ("search_score", "final_score")
        for values in (result[name]["mean"], result[name]["std"])
    ]
    rows = [
        [at, f"{search:.3f}", f"+-{search_std:.3f}", f"{final:.3f}", f"+-{final_std:.3f}"]
        for at, search, search_std, final, final_std in zip(result["queries"], *scores, strict=True)
    ]
    print_table(columns, rows)
    top = result["queries_to_top"]
    print(
        f"\nbest {top['fraction']:.1%} after {top['mean']:.1f} queries (mean, cap {top['cap']}), "
        f"found by {top['found']} of {result['seeds']} seeds; "
        f"{1000 * result['ask_seconds_mean']:.1f} ms an ask"
    )
