"""The progress of a search on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from nasmith.states import SearchState

if TYPE_CHECKING:
    from nasmith.search import Search

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_WITHOUT_NEWS = 60.0


def show_progress(
    search: Search,
    *,
    timeout: float | None = None,
    patience: float = 300.0,
    stream: TextIO | None = None,
) -> None:
    """Follow `search` until it has ended, through restarts of its server.

    Raises:
        TimeoutError, UnreachableError: as `Search.changes`.
    """
    file = sys.stderr if stream is None else stream
    if file.isatty():
        _show_bar(search, timeout, patience, file)
    else:
        _print_lines(search, timeout, patience, file)


def best_so_far(search: Search) -> str:
    """`best val_accuracy 0.9821`, for each objective; empty without a result."""
    best: dict[str, Any] | None = search.document.get("best")
    if not best:
        return ""
    metrics = best["metrics"]
    names = [objective["metric"] for objective in search.spec["objectives"]]
    values = [f"{name} {metrics[name]:.4g}" for name in names if metrics.get(name) is not None]
    return f"best {', '.join(values)}" if values else ""


def counted(search: Search) -> str:
    """`12/30 trials`, and those of the baseline where there is one."""
    progress = search.progress
    text = f"{progress['trials_done']}/{progress['trials_total']} trials"
    if progress["baseline_total"]:
        text += f", baseline {progress['baseline_done']}/{progress['baseline_total']}"
    return text


def remaining(search: Search) -> str:
    """`about 1:20 left`, of the search stage and the baseline; then, that the final stage runs.
    Empty while nobody knows.
    """
    progress = search.progress
    done, total = (progress[f"trials_{n}"] + progress[f"baseline_{n}"] for n in ("done", "total"))
    if search.state == SearchState.RUNNING and done >= total:
        final = search.spec["final"]
        return f"retraining the best {final['top']} on {final['seeds']} seeds"
    seconds = progress["eta_seconds"]
    if search.has_ended or seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"about {clock} left"


def summary(search: Search) -> str:
    """One line: state, trials, best so far, time left."""
    reason = f" ({search.state_reason})" if search.state_reason else ""
    parts = [
        f"{search.state}{reason}",
        counted(search),
        best_so_far(search),
        remaining(search),
    ]
    return ", ".join(part for part in parts if part)


def _show_bar(search: Search, timeout: float | None, patience: float, file: TextIO) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[state]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[counted]}"),
        TextColumn("[bold]{task.fields[best]}[/bold]"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(file=file), refresh_per_second=8) as bar:
        task = bar.add_task("", total=1, state=search.state, counted="", best="", note="")

        def on_outage(message: str) -> None:
            bar.update(task, note=f"[yellow]{escape(message)}[/yellow]")

        for state in search.changes(timeout, patience, on_outage):
            progress = state.progress
            bar.update(
                task,
                total=progress["trials_total"] + progress["baseline_total"],
                completed=progress["trials_done"] + progress["baseline_done"],
                state=state.state,
                counted=counted(state),
                best=best_so_far(state),
                note=remaining(state),
            )


def _print_lines(search: Search, timeout: float | None, patience: float, file: TextIO) -> None:
    """A line when something changed, not too often, and now and then without; one an outage."""
    last_news: tuple[object, ...] = ()
    last_time = -_SECONDS_WITHOUT_NEWS
    is_away = False

    def write(line: str) -> None:
        print(line, file=file, flush=True)

    def on_outage(message: str) -> None:
        nonlocal is_away
        if not is_away:
            write(message)
        is_away = True

    for state in search.changes(timeout, patience, on_outage):
        if is_away:
            write(f"{search.id} is back")
            is_away = False
        news = (state.state, state.state_reason, counted(state), best_so_far(state))
        age = time.monotonic() - last_time
        is_due = news[:2] != last_news[:2] or age >= (
            _SECONDS_BETWEEN_LINES if news != last_news else _SECONDS_WITHOUT_NEWS
        )
        if is_due:
            write(summary(state))
            last_news, last_time = news, time.monotonic()
