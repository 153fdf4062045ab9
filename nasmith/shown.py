"""What shows itself in a notebook: tables, plots, trials, a search. No text becomes markup."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasmith.frames import frame, trial_rows

if TYPE_CHECKING:
    import pandas

    from nasmith.search import Search

SHOWN_TRIALS = 20

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Rows under columns; the first column names a row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __repr__(self) -> str:
        cells = [self.columns, *(tuple(map(_text, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        return "\n".join([*lines, *([self.note] if self.note else [])])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"

    def to_pandas(self) -> pandas.DataFrame:
        """
        Raises:
            NasmithError: there is no pandas.
        """
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return frame(rows, self.columns[0])


@dataclass(frozen=True)
class Plot:
    """A picture as the server has drawn it: `svg` is a file of its own."""

    name: str
    svg: str

    def __repr__(self) -> str:
        return f"<Plot {self.name}, {len(self.svg)} characters of SVG>"

    def _repr_html_(self) -> str:
        """Inside of an image, so that it shares no style and runs nothing."""
        content = base64.b64encode(self.svg.encode()).decode()
        return f'<img alt="{escape(self.name)}" src="data:image/svg+xml;base64,{content}">'

    def save(self, path: str | Path) -> Path:
        """Write it as an SVG file."""
        Path(path).write_text(self.svg, encoding="utf-8")
        return Path(path)


class Trials(Iterator[dict[str, Any]]):
    """Trials as they are fetched, page after page. As a table they are fetched anew, so that it has
    all of them however far this has come.
    """

    def __init__(self, fetch: Callable[[], Iterator[dict[str, Any]]]) -> None:
        self._fetch, self._left = fetch, fetch()

    def __next__(self) -> dict[str, Any]:
        return next(self._left)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a trial, by its number: `decision.` and `recipe.` before the names of what was
        chosen, metrics by their own, times as times.

        Raises:
            NasmithError: there is no pandas.
        """
        return frame(trial_rows(self._fetch()), "number")

    def table(self, limit: int = SHOWN_TRIALS) -> Table:
        """The first `limit` of them, with their metrics."""
        found = list(islice(self._fetch(), limit + 1))
        shown = found[:limit]
        metrics = list(dict.fromkeys(name for trial in shown for name in trial["metrics"]))
        rows = [
            (
                trial["number"],
                trial["kind"],
                trial["state"],
                *(trial["metrics"].get(name) for name in metrics),
                (trial["failure"] or {}).get("message"),
            )
            for trial in shown
        ]
        more = f"the first {limit}; to_pandas() has all" if len(found) > limit else ""
        return Table(("number", "kind", "state", *metrics, "failure"), tuple(rows), more)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def best_table(best: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> Table:
    """Each of `best` by its trial: every objective as the search saw it, and what retraining gave,
    on validation and on test.
    """
    tests = [f"test_{name.removeprefix('val_')}" for name in objectives if "val_" in name]
    finals = [*objectives, *tests]
    columns = ("trial", "family", *objectives, *(f"{name}, retrained" for name in finals))
    rows = [
        (
            item["trial"],
            item["architecture"]["family"],
            *(item["search_metrics"].get(name) for name in objectives),
            *(_spread((item["final_metrics"] or {}).get(name)) for name in finals),
        )
        for item in best
    ]
    return Table(columns, tuple(rows), "" if rows else "no trial has ended with a score yet")


def search_html(search: Search) -> str:
    """Its state, how far it is, and the best so far, as it was when it was last fetched."""
    from nasmith.progress import best_so_far, remaining

    progress = search.progress
    reason = f": {search.state_reason}" if search.state_reason else ""
    lines = [
        f"<strong>{escape(search.name)}</strong> {escape(search.state + reason)}",
        f'<progress value="{progress["trials_done"]}" max="{progress["trials_total"]}"></progress> '
        f"{progress['trials_done']} of {progress['trials_total']} trials",
        escape(", ".join(part for part in (best_so_far(search), remaining(search)) if part)),
        f"<code>{escape(search.id)}</code>",
    ]
    return "<div>" + "<br>".join(line for line in lines if line) + "</div>"


def _spread(known: Mapping[str, Any] | None) -> str | None:
    """One run has no deviation to tell."""
    if known is None:
        return None
    return f"{known['mean']:.4g}" + (f" ± {known['std']:.2g}" if known["seeds"] > 1 else "")


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
