"""The command that looks back at a search: report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nasmith.commands.heat_map import heat_map
from nasmith.commands.options import Json, SearchId, Url, client_at
from nasmith.commands.output import print_json, print_table


def report(
    search_id: SearchId,
    html: Annotated[
        Path | None, typer.Option(help="Write it as a page with charts into this file.")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show how a search went: its best so far, its baseline, which decisions mattered."""
    with client_at(url) as client:
        search = client.searches.get(search_id)
        if html is not None:
            html.write_text(search.report_page(), encoding="utf-8")
            print_json({"file": str(html)}) if as_json else print(html)
            return
        found = search.report()
    if as_json:
        print_json(found)
        return
    if found.get("verdict"):  # older servers give none
        print(f"{found['verdict']}\n")
    for number, objective in enumerate(found["objectives"]):
        print(f"{'' if number == 0 else chr(10)}{objective['goal']} {objective['metric']}")
        for line in _lines(objective):
            print(f"  {line}")
    for name, known in found["rank_correlations"].items():
        print(
            f"{name} ranked {known['trials']} trials: Spearman {known['spearman']:.2f}, "
            f"Kendall {known['kendall']:.2f}"
        )
    for metric, known in found.get("reliability", {}).items():  # older servers give none
        print(_reliability_line(metric, known))
    if (together := found.get("ensemble")) is not None:  # older servers give none
        for line in _ensemble_lines(together):
            print(line)
    for known in found.get("memory", ()):  # older servers give none
        print(_memory_line(known))
    _print_families(found)
    _print_simple(found)
    _print_supernets(found["supernets"])


def _ensemble_lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found["failure"] is not None:
        yield f"ensemble of trial {found['trial']} has failed: {found['failure']}"
        return
    of = ", ".join(f"{one['share']:.0%} trial {one['trial']}" for one in found["members"])
    verdict = "" if found["is_handed_out"] else ": no better, the best network is handed out"
    yield f"ensemble of {found['finals']} final trainings: {of}{verdict}"
    if found["left_out"]:
        yield f"  {found['left_out']} see samples or values otherwise than the best: left out"
    for score in found["scores"]:
        if None not in (score["ensemble"], score["single"]):
            yield (
                f"  {score['metric']} {score['ensemble']:.6g} on validation, the best alone "
                f"(trial {found['single']}) {score['single']:.6g}"
            )


def _print_families(found: Mapping[str, Any]) -> None:
    """What each family reached for its seconds."""
    families = found.get("families")  # older servers give none
    if not families:
        return
    names = [objective["metric"] for objective in found["objectives"]]
    rows = [
        (
            known["family"],
            known["trials"],
            f"{known['seconds']:.1f}",
            *("" if known["best"][name] is None else known["best"][name] for name in names),
        )
        for known in families
    ]
    print()
    print_table(["family", "trials", "seconds", *(f"best {name}" for name in names)], rows)


def _print_simple(found: Mapping[str, Any]) -> None:
    """The simple models, beside each objective on validation and test."""
    simple = found.get("simple")  # older servers give none
    if not simple:
        return
    names = [objective["metric"] for objective in found["objectives"]]
    shown = [*names, *(f"test_{name.removeprefix('val_')}" for name in names)]
    rows = [
        (
            known["name"],
            known["samples"],
            *({**known["validation"], **known["test"]}.get(name, "") for name in shown),
            f"{known['seconds']:.1f}",
            known["failure"] or "",
        )
        for known in simple
    ]
    print()
    print_table(["simple model", "samples", *shown, "seconds", ""], rows)


def _lines(objective: Mapping[str, Any]) -> Iterator[str]:
    for name in ("strategy", "baseline"):
        course = objective[name]
        if course is not None:
            best = best_after(course, course["trials"])
            yield f"{name:<11}{best} after {course['trials']} trials"
    if objective.get("floor") is not None:
        yield f"{'floor':<11}{objective['floor']:.6g} by what knows nothing of the inputs"
    for known in objective["presets"]:
        value = "no result" if known["value"] is None else f"{known['value']:.6g}"
        final = (known.get("final_metrics") or {}).get(objective["metric"])
        retrained = f", {final['mean']:.6g} retrained" if final else ""
        yield f"{known['preset']:<11}{value} in trial {known['trial']}{retrained}"
    if objective["difference"] is not None:
        yield from difference_lines(objective["difference"])
    for item in objective["importance"]:
        yield f"{item['share']:>6.1%}  {item['decision']}"


def _memory_line(known: Mapping[str, Any]) -> str:
    said = [
        f"remembered {known['recollections']} of {known['results']} results of {known['search']}"
    ]
    said.append(f"on {known['dataset']}: {known['tried']} have a result here")
    if known["spearman"] is not None:
        said.append(f"ranked as there with Spearman {known['spearman']:.2f}")
    if known["best_place"] is not None:
        said.append(f"the best was above {known['best_place']:.1%} there")
    return ", ".join([" ".join(said[:2]), *said[2:]])


def _reliability_line(metric: str, known: Mapping[str, Any]) -> str:
    said = [f"{metric} of {known['candidates']} retrained"]
    if known["spearman"] is not None:
        said.append(f"ranked as in the search with Spearman {known['spearman']:.2f}")
    if known["noise"] is not None:
        said.append(f"noise of a repeat {known['noise']:.2g}")
    if known["spread"] is not None:
        said.append(f"spread between them {known['spread']:.2g}")
    return ", ".join(said)


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


def difference_lines(difference: Mapping[str, Any]) -> Iterator[str]:
    """Of the best and of the mean, with the interval where there is one."""
    for name in ("final", "mean"):
        found = difference[name]
        interval = ""
        if found["low"] is not None:
            interval = f" [{found['low']:+.4g}, {found['high']:+.4g}]"
        what = "of the best" if name == "final" else "of the mean"
        yield f"{what} {found['difference']:+.4g}{interval} over {difference['trials']} trials"


def best_after(course: Mapping[str, Any], trials: int) -> str:
    """The best value of so many trials; empty where it has none, or is not so far."""
    reached = [step["value"] for step in course["best_so_far"] if step["trials"] <= trials]
    return f"{reached[-1]:.6g}" if reached and trials <= course["trials"] else ""
