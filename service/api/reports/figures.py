"""Which charts a search has, made of what is shown of it. One without data is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.objectives import TEST_PREFIX
from search.trial import TrialState
from service.api.charts.figures import Bar, Bars, Chart, Figure, Point, Reference, Series
from service.api.reports.shown import VALIDATION, Curve, Shown

MOST_BARS = 20

Document = Mapping[str, Any]


def figures(shown: Shown) -> list[Figure]:
    """In the order in which a reader asks for them."""
    found = [
        made
        for index, objective in enumerate(shown.report["objectives"])
        for make in (_progress, _trials, _scores, _test, _importance)
        if (made := make(shown, objective, index)) is not None
    ]
    others = (_curves(shown), _pareto(shown), _proxies(shown))
    return [*found, *(made for made in others if made is not None)]


def _progress(shown: Shown, objective: Document, index: int) -> Figure | None:
    """The best so far by trial, between the lines of what it has to be better than."""
    metric = objective["metric"]
    series = [_course("this search", objective["strategy"])]
    if objective["baseline"] is not None:
        series.append(_course("random search", objective["baseline"]))
    series = [one for one in series if one.points]
    if not series:
        return None
    return Chart(
        name=_named("progress", metric, index),
        title=f"Best {metric} so far",
        says=f"The best {metric} after each trial, as the search saw it. Lines across: what it is "
        "compared with; a band is one standard deviation over seeds on both sides.",
        x="trials",
        y=metric,
        series=tuple(series),
        references=tuple(_references(shown, objective)),
    )


def _named(form: str, metric: str, index: int) -> str:
    """Of the first objective by the form alone."""
    return f"{form}-{metric}" if index else form


def _course(name: str, course: Document) -> Series:
    """Each improvement, and the end of the run at the height of the last one."""
    steps = [Point(step["trials"], step["value"]) for step in course["best_so_far"]]
    if steps and steps[-1].x < course["trials"]:
        steps.append(Point(course["trials"], steps[-1].y))
    return Series(name, tuple(steps), "steps")


def _references(shown: Shown, objective: Document) -> Iterator[Reference]:
    """On validation."""
    metric = objective["metric"]
    final = (shown.best[0]["final_metrics"] or {}) if shown.best else {}
    if metric.startswith(VALIDATION) and metric in final:
        yield _spread("winner, retrained", final[metric])
    for preset in objective["presets"]:
        retrained = (preset["final_metrics"] or {}).get(metric)
        if retrained is not None:
            yield _spread(preset["preset"], retrained)
        elif preset["value"] is not None:
            yield Reference(preset["preset"], preset["value"])
    known = {
        simple["name"]: simple["validation"][metric]
        for simple in shown.report["simple"]
        if metric in simple["validation"]
    }
    if known:
        choose = max if objective["goal"] == "maximize" else min
        name = choose(known, key=lambda n: known[n])
        yield Reference(f"best simple model: {name}", known[name])
    if objective["floor"] is not None:
        yield Reference("knows nothing", objective["floor"])


def _spread(name: str, spread: Document) -> Reference:
    """No band of one run."""
    if spread["seeds"] < 2:
        return Reference(name, spread["mean"])
    low, high = (spread["mean"] + sign * spread["std"] for sign in (-1, 1))
    return Reference(name, spread["mean"], low, high)


def _trials(shown: Shown, objective: Document, index: int) -> Figure | None:
    """Every trial that has a score, in the order of asking."""
    sign = 1.0 if objective["goal"] == "maximize" else -1.0
    kinds = {CANDIDATE.name: "tried by the strategy", BASELINE.name: "baseline"}
    series = [
        Series(said, points, "points")
        for kind, said in kinds.items()
        if (
            points := tuple(
                Point(trial.number, sign * trial.fitness[index])
                for trial in shown.trials
                if trial.kind == kind and trial.fitness is not None
            )
        )
    ]
    if not series:
        return None
    metric = objective["metric"]
    return Chart(
        name=_named("trials", metric, index),
        title=f"{metric} of every trial",
        says="Each mark is a trial that was trained to a result.",
        x="number of the trial",
        y=metric,
        series=tuple(series),
    )


def _scores(shown: Shown, objective: Document, index: int) -> Figure | None:
    """What the search saw against what an honest retraining gave."""
    metric = objective["metric"]
    pairs = [
        (item["trial"], item["search_metrics"][metric], final[metric])
        for item in shown.best
        if metric in (final := item["final_metrics"] or {}) and metric in item["search_metrics"]
    ]
    if not metric.startswith(VALIDATION) or not pairs:
        return None
    points = [
        (f"trial {trial}", Point(seen, line.value, line.low, line.high))
        for trial, seen, final in pairs
        for line in (_spread("", final),)
    ]
    return Chart(
        name=_named("scores", metric, index),
        title=f"{metric}: search score against final score",
        says="To the right what the search saw, upwards the mean of the retrainings from scratch, "
        "with one standard deviation over seeds. On the dotted line both are the same; below it "
        "(above, of a loss) the search was too hopeful.",
        x=f"{metric} in the search",
        y=f"{metric}, retrained",
        series=tuple(Series(name, (point,), "points") for name, point in points),
        diagonal=True,
    )


def _test(shown: Shown, objective: Document, index: int) -> Figure | None:
    """The only scores on data that nothing was chosen by."""
    metric = TEST_PREFIX + objective["metric"].removeprefix(VALIDATION)
    if not objective["metric"].startswith(VALIDATION):
        return None
    bars = [
        _bar(name, found[metric])
        for name, found in (
            *((_name(place, item), item["final_metrics"]) for place, item in enumerate(shown.best)),
            *((p["preset"], p["final_metrics"]) for p in objective["presets"]),
        )
        if metric in (found or {})
    ]
    bars += [
        Bar(simple["name"], simple["test"][metric], note="simple model, one fit")
        for simple in shown.report["simple"]
        if metric in simple["test"]
    ]
    if not bars:
        return None
    return Bars(
        name=_named("test", metric, index),
        title=f"{metric}: the honest comparison",
        says="On the test split, scored once, after everything had been chosen. Intervals are one "
        "standard deviation over seeds on both sides.",
        x=metric,
        bars=tuple(bars[:MOST_BARS]),
        form="dot",
        reference=Reference(bars[0].name, bars[0].value),
    )


def _name(place: int, item: Document) -> str:
    return f"trial {item['trial']}" + (" (winner)" if place == 0 else "")


def _bar(name: str, spread: Document) -> Bar:
    line = _spread(name, spread)
    seeds = "1 seed" if spread["seeds"] == 1 else f"{spread['seeds']} seeds"
    return Bar(name, line.value, line.low, line.high, seeds)


def _importance(shown: Shown, objective: Document, index: int) -> Figure | None:
    shares = objective["importance"][:MOST_BARS]
    if not shares:
        return None
    metric = objective["metric"]
    return Bars(
        name=_named("importance", metric, index),
        title=f"Which decisions mattered for {metric}",
        says="The share of the variance of the score that each decision explains by itself "
        "(functional ANOVA); what is missing to 1 are interactions.",
        x="share of the variance",
        bars=tuple(Bar(share["decision"], share["share"]) for share in shares),
    )


def _curves(shown: Shown) -> Figure | None:
    if not shown.curves:
        return None
    return Chart(
        name="curves",
        title=f"Learning curves: {shown.curve_metric}",
        says="Of final trainings, of the best trials, and of some that were stopped early.",
        x="epoch",
        y=shown.curve_metric,
        series=tuple(_curve(curve) for curve in shown.curves),
    )


def _curve(curve: Curve) -> Series:
    trial = curve.trial
    said = {FINAL.name: ", final"}.get(trial.kind, "")
    said = ", stopped early" if trial.state is TrialState.PRUNED else said
    return Series(f"trial {trial.number}{said}", tuple(Point(e, v) for e, v in curve.points))


def _pareto(shown: Shown) -> Figure | None:
    """Of the first two objectives."""
    if len(shown.objectives) < 2:
        return None
    first, second = shown.objectives[:2]
    signs = [1.0 if objective["goal"] == "maximize" else -1.0 for objective in (first, second)]
    front = {item["trial"] for item in shown.best}
    places = [
        (trial.number in front, Point(signs[1] * trial.fitness[1], signs[0] * trial.fitness[0]))
        for trial in shown.trials
        if trial.kind == CANDIDATE.name and trial.fitness is not None
    ]
    groups = {"Pareto set": True, "other trials": False}
    series = tuple(
        Series(name, tuple(sorted(points, key=lambda point: point.x)), "points")
        for name, is_best in groups.items()
        if (points := [point for found, point in places if found is is_best])
    )
    if not series:
        return None
    return Chart(
        name="pareto",
        title=f"{first['metric']} against {second['metric']}",
        says="In the Pareto set are the trials than which no other one is better in one objective "
        "and no worse in all others; as the search saw them.",
        x=second["metric"],
        y=first["metric"],
        series=series,
    )


def _proxies(shown: Shown) -> Figure | None:
    found = shown.report["rank_correlations"]
    if not found:
        return None
    return Bars(
        name="proxies",
        title="How well zero-cost scores ranked the networks",
        says="Spearman's rank correlation of each score of the untrained network with the result "
        "after training: 1 is the same order, 0 is none.",
        x="Spearman's rho",
        bars=tuple(
            Bar(
                name,
                known["spearman"],
                note=f"{known['trials']} trials, tau {known['kendall']:.3g}",
            )
            for name, known in found.items()
        ),
    )
