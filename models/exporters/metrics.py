"""`metrics.json`: how good the network is, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.ensemble import Ensemble
from models.exporters import Export, Turn, exporters, write_json
from models.exporters.report import BundleReport
from models.training.baseline import baseline, comparable, held_against, verdict
from models.training.metrics import default_metric, scores

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("metrics")
class Metrics:
    files = ("metrics.json",)
    card = "every number of this card"
    is_required = True
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        write_json(folder / "metrics.json", metrics_of(export))

    @staticmethod
    def check(bundle: Bundle) -> None:
        """Its test metrics are those that `model.py`, its weights and the preprocessing give for
        the raw test split, worked out anew.

        A count moves by 1e-6 at most, a loss by 1e-4 of itself: another batch size, another CPU,
        another order of a sum.
        """
        recorded, scores = bundle.json("metrics.json")["metrics"], bundle.scores
        if not scores.keys() & recorded.keys():
            raise ValueError(f"none of {sorted(scores)} was recorded, only {sorted(recorded)}")
        for name in scores.keys() & recorded.keys():
            is_count = name in ("test_accuracy", "test_f1", "test_balanced_accuracy")
            tolerance = 1e-6 if is_count else max(1e-6, 1e-4 * abs(recorded[name]))
            if not abs(scores[name] - recorded[name]) <= tolerance:
                values = f"{name} {scores[name]}, recorded was {recorded[name]}"
                raise ValueError(f"the bundle has {values}")


def metrics_of(export: Export) -> dict[str, Any]:
    """The document."""
    checkpoint, dataset, report = export.checkpoint, export.dataset, export.report
    costs = checkpoint.cost()
    known = {**baseline(dataset, "val"), **baseline(dataset, "test")}
    known = comparable(known, checkpoint.recipe, report.errors_in)
    return {
        "search": {"id": report.search_id, "name": report.search_name, "trial": report.trial},
        "final_trial": report.final_trial,
        "seed": report.seed,
        "task": checkpoint.task.to_json(),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "samples": dataset.sizes,
        },
        **({"members": members_of(checkpoint)} if isinstance(checkpoint, Ensemble) else {}),
        "recipe": checkpoint.recipe.model_dump(mode="json"),
        "parameters": int(costs["parameters"]),
        "flops": int(costs["flops"]),
        "errors_in": report.errors_in,
        "baseline": known,
        "verdict": _verdict(checkpoint.task.name, report, known),
        "metrics": dict(report.metrics),
        "search_metrics": dict(report.search_metrics),
        "final_metrics": {name: dict(values) for name, values in report.final_metrics.items()},
        "versions": {name: version(name) for name in ("nasmith", "torch", "safetensors")},
    }


def members_of(ensemble: Ensemble) -> list[dict[str, Any]]:
    """Each with the run whose weights it has, its share of the answer, and its scores alone."""
    return [
        {
            "trial": member.chosen.trial,
            "picks": member.chosen.picks,
            "share": share,
            "seed": member.checkpoint.extra["seed"],
            "architecture": member.checkpoint.architecture.to_json(),
            "recipe": member.checkpoint.recipe.model_dump(mode="json"),
            "validation": {
                name: value
                for name, value in member.checkpoint.extra["metrics"].items()
                if name.startswith("val_")
            },
        }
        for member, share in zip(ensemble.members, ensemble.shares, strict=True)
    ]


def _verdict(task_name: str, report: BundleReport, known: Mapping[str, float]) -> str | None:
    """Where the model is no better than the baseline on validation, or on the test. Of folds the
    baseline on validation is a mean, and so is the search's score.
    """
    name = (report.objective or "").removeprefix("val_")
    goals = scores[task_name].goals
    if name not in goals:
        name, _ = default_metric(task_name)
    for wanted in (f"val_{name}", f"test_{name}"):
        metric, goal = held_against(wanted, goals[name], known) or ("", goals[name])
        of_folds = f"{metric}_std" in report.search_metrics
        values = report.search_metrics if of_folds else report.metrics
        if metric in values:
            found = verdict(metric, goal, values[metric], known[metric])
            if found is not None:
                return found
    return None
