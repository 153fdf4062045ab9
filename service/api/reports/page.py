"""The report as a page that is whole in one file: it can be mailed, printed and put away. It has no
script, and its policy forbids the browser to load anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from search.objectives import TEST_PREFIX
from service.api.charts.svg import style as chart_style
from service.api.html.environment import environment, read, source_of
from service.api.reports.figures import figures
from service.api.reports.shown import VALIDATION, Shown

MOST_FAILURES = 20
MOST_FOUND = 5
_COSTS = ("parameters", "flops", "latency_ms", "train_seconds", "peak_memory_bytes")


@cache
def style() -> str:
    return chart_style() + read("service.api.reports", "report.css")


@cache
def policy() -> str:
    """Of the page as an answer, and inside of it for who opens the file."""
    return (
        f"default-src 'none'; img-src data:; style-src {source_of(style())}; "
        "base-uri 'none'; form-action 'none'"
    )


def page(shown: Shown, drawing: str | None = None) -> str:
    """`drawing`: the winner's network as SVG, which stands in an image, with a style of its own."""
    return (
        environment()
        .get_template("report.html")
        .render(
            shown=shown,
            search=shown.search,
            report=shown.report,
            style=style(),
            policy=policy(),
            asked=list(asked(shown.search.spec)),
            found=list(found(shown)),
            cost=list(cost(shown)),
            failures=failures(shown),
            figures=figures(shown),
            drawing=None if drawing is None else b64encode(drawing.encode()).decode(),
        )
    )


def asked(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader wants to know of a request first; the whole of it stands further down."""
    spaces = spec["space"] if isinstance(spec["space"], list) else [spec["space"]]
    yield "dataset", spec["dataset"]
    yield "networks", ", ".join(space["family"] for space in spaces)
    yield "strategy", spec["strategy"]["name"]
    if spec.get("memory"):  # older searches say nothing of it
        yield "memory", ", ".join(spec["memory"])
    yield "stopping early", spec["fidelity"]["name"]
    yield "objectives", ", ".join(f"{o['goal']} {o['metric']}" for o in spec["objectives"])
    for limit in spec["constraints"]:
        bounds = [f"{word} {limit[word]:g}" for word in ("min", "max") if limit[word] is not None]
        yield f"limit of {limit['metric']}", ", ".join(bounds)
    seconds = spec["budget"]["seconds"]
    time = "" if seconds is None else f", {seconds:g} seconds"
    yield "budget", f"{spec['budget']['trials']} trials{time}"
    final = spec["final"]
    yield "retrained", f"the best {final['top']}, on {final['seeds']} seeds each"
    beside = [name for name in (spec["baseline"], *spec["baselines"]) if name]
    yield "compared with", ", ".join(beside) or "nothing"
    yield "seed", str(spec["seed"])


def found(shown: Shown) -> Iterator[dict[str, Any]]:
    """The first of the best, and of each metric that matters its values in search and finals."""
    names = [objective["metric"] for objective in shown.objectives]
    names += [TEST_PREFIX + n.removeprefix(VALIDATION) for n in names if n.startswith(VALIDATION)]
    names += [name for name in _COSTS if name not in names]
    for item in shown.best[:MOST_FOUND]:
        final = item["final_metrics"] or {}
        yield {
            "item": item,
            "rows": [
                (name, item["search_metrics"].get(name), final.get(name))
                for name in names
                if name in item["search_metrics"] or name in final
            ],
        }


def cost(shown: Shown) -> Iterator[tuple[str, str, int, float]]:
    """(kind, state, trials, seconds that workers had them)."""
    counts: Counter[tuple[str, str]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for trial in shown.trials:
        counts[trial.kind, trial.state.value] += 1
        seconds[trial.kind, trial.state.value] += trial.seconds
    for (kind, state), count in counts.items():
        yield kind, state, count, seconds[kind, state]


def failures(shown: Shown) -> list[tuple[str, int, int]]:
    """(what happened, how often, in which trial first), the most frequent first."""
    first: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for trial in shown.trials:
        if trial.failure is not None:
            counts[trial.failure] += 1
            first.setdefault(trial.failure, trial.number)
    return [(text, count, first[text]) for text, count in counts.most_common(MOST_FAILURES)]
