"""What the client shows in a notebook, and its data frames."""

from __future__ import annotations

import base64
import builtins
from pathlib import Path
from typing import Any

import pytest

from nasmith import NasmithError
from nasmith.shown import Plot, Table, Trials, best_table

HOSTILE = "<script>alert(1)</script>"


def trial(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "kind": "candidate",
        "state": "completed",
        "architecture": {"family": "mlp", "decisions": {"depth": number + 1, "width": 16}},
        "recipe": {"epochs": 2},
        "metrics": {"val_accuracy": 0.5 + number / 10},
        "curve": [],
        "failure": None,
        "started_at": "2026-01-31T12:00:00+00:00",
        "ended_at": "2026-01-31T12:00:01.500000+00:00",
        **changes,
    }


FAILED = trial(
    1,
    state="failed",
    architecture=None,
    recipe=None,
    metrics={},
    failure={"kind": "error", "message": HOSTILE},
)


def test_trials_are_an_iterator_whose_frame_has_all_of_them() -> None:
    trials = Trials(lambda: iter([trial(0), FAILED, trial(2)]))
    assert next(trials)["number"] == 0
    frame = trials.to_pandas()
    assert [one["number"] for one in trials] == [1, 2], "it goes on where it was"
    assert list(frame.index) == [0, 1, 2] and frame.index.name == "number"
    assert frame.loc[2, "decision.depth"] == 3 and frame.loc[2, "val_accuracy"] == 0.7
    assert frame["recipe.epochs"].isna().tolist() == [False, True, False]
    assert frame.loc[1, "failure"] == HOSTILE and frame.loc[0, "family"] == "mlp"
    assert (frame["ended_at"] - frame["started_at"]).dt.total_seconds().tolist() == [1.5] * 3
    assert "curve" not in frame.columns and "metrics" not in frame.columns


def test_a_frame_of_no_trials_is_empty() -> None:
    assert Trials(lambda: iter(())).to_pandas().empty


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NasmithError, match=r'pip install "nasmith\[pandas\]"'):
        Trials(lambda: iter(())).to_pandas()


def test_a_notebook_shows_the_first_trials_and_says_so() -> None:
    trials = Trials(lambda: map(trial, range(30)))
    html = trials._repr_html_()
    assert html.count("<tr>") == 21 and "the first 20" in html
    assert "the first" not in trials.table(limit=30)._repr_html_()


def test_no_text_of_a_table_becomes_markup() -> None:
    table = Trials(lambda: iter([FAILED])).table()
    html = table._repr_html_()
    assert HOSTILE not in html and "&lt;script&gt;" in html
    header, row = repr(table).splitlines()
    assert header.split() == ["number", "kind", "state", "failure"] and HOSTILE in row


def test_the_best_stand_with_search_final_and_test_scores() -> None:
    best = [
        {
            "trial": 7,
            "architecture": {"family": "mlp", "decisions": {}},
            "search_metrics": {"val_accuracy": 0.9, "parameters": 120.0},
            "final_metrics": {
                "val_accuracy": {"mean": 0.85, "std": 0.01, "seeds": 3},
                "test_accuracy": {"mean": 0.8, "std": 0.0, "seeds": 1},
            },
        },
        {
            "trial": 3,
            "architecture": {"family": "bag", "decisions": {}},
            "search_metrics": {"val_accuracy": 0.7, "parameters": 10.0},
            "final_metrics": None,
        },
    ]
    table = best_table(best, ["val_accuracy", "parameters"])
    assert table.columns == (
        "trial",
        "family",
        "val_accuracy",
        "parameters",
        "val_accuracy, retrained",
        "parameters, retrained",
        "test_accuracy, retrained",
    )
    assert table.rows == (
        (7, "mlp", 0.9, 120.0, "0.85 ± 0.01", None, "0.8"),
        (3, "bag", 0.7, 10.0, None, None, None),
    )
    assert table.to_pandas().loc[7, "parameters"] == 120.0
    assert "no trial has ended" in best_table([], ["val_accuracy"])._repr_html_()


def test_a_plot_stands_in_an_image_and_can_be_saved(tmp_path: Path) -> None:
    svg = f"<svg><title>{HOSTILE} ä</title></svg>"
    plot = Plot('a"b', svg)
    html = plot._repr_html_()
    assert html.startswith('<img alt="a&quot;b" src="data:image/svg+xml;base64,')
    assert base64.b64decode(html.partition("base64,")[2].removesuffix('">')).decode() == svg
    assert plot.save(tmp_path / "a.svg").read_text("utf-8") == svg
    assert Table(("a",), (("b",),)).__repr__() == "a\nb"
