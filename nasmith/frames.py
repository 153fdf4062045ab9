"""Data frames of pandas, which is asked for when one is wanted: `pip install "nasmith[pandas]"`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nasmith.errors import NasmithError

if TYPE_CHECKING:
    import pandas

_PARTS = ("architecture", "recipe", "metrics", "curve", "failure", "supernet", "ensemble")
_TIMES = ("started_at", "ended_at")


def frame(rows: Iterable[Mapping[str, Any]], index: str) -> pandas.DataFrame:
    """One row a mapping, by the column `index`; what a row has not is missing.

    Raises:
        NasmithError: there is no pandas.
    """
    try:
        import pandas
    except ImportError:
        raise NasmithError(
            'a data frame needs pandas, which is not installed: pip install "nasmith[pandas]"'
        ) from None

    made = pandas.DataFrame(list(rows))
    for name in set(_TIMES) & set(made.columns):
        made[name] = pandas.to_datetime(made[name])
    return made.set_index(index) if index in made.columns else made


def trial_rows(trials: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A trial as one flat row: its decisions under `decision.`, its recipe under `recipe.`, each
    metric by its own name, `failure` as its message; learning curves are left out.
    """
    for trial in trials:
        network = trial["architecture"] or {"family": None, "decisions": {}}
        yield {
            **{name: value for name, value in trial.items() if name not in _PARTS},
            "failure": (trial["failure"] or {}).get("message"),
            "family": network["family"],
            **{f"decision.{name}": value for name, value in network["decisions"].items()},
            **{f"recipe.{name}": value for name, value in (trial["recipe"] or {}).items()},
            **trial["metrics"],
        }
