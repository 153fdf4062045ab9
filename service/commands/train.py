"""`nasmith train`: one known network on one dataset, in this process, without a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasmith.commands.options import Json, key_values
from nasmith.commands.output import FailedError, UsageError, note, print_json
from service.commands.options import wrong_setting

if TYPE_CHECKING:
    from models.presets import Preset
    from models.recipe import Recipe
    from models.task import Task


def train(
    preset: Annotated[str, typer.Option(metavar="NAME", help="A preset of the catalog.")],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="A dataset of the catalog.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The bundle. [PRESET-DATASET]")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A field of the recipe; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and dropout.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a preset, score it once on the test split, and write a bundle that runs alone.

    The recipe is the task's own, changed by the preset, then by --setting. The weights are those
    of the epoch with the lowest validation loss.
    """
    from models import checkpoint
    from models.datasets import UnavailableDatasetError
    from models.datasets.reference import load_dataset
    from models.exporters.bundle import BundleError, BundleReport, write_bundle
    from models.presets import preset as preset_named
    from models.processes.folders import temporary_folder
    from models.registry import UnknownNameError
    from models.training.pretexts import allowed
    from search.engine.stages.finals import FINAL
    from search.evaluation import EvaluationError
    from search.evaluators.train import TrainEvaluator
    from search.trial import Candidate, Trial, TrialState

    try:
        known, data = preset_named(preset), load_dataset(dataset)
    except (UnknownNameError, UnavailableDatasetError) as error:
        raise UsageError(str(error)) from None
    folder = out or Path(f"{preset}-{dataset}")
    if folder.exists():
        raise UsageError(f"{folder} exists; --out names another folder")
    recipe = _recipe(known, data.task, key_values(setting or []))
    able = allowed(known.architecture.family, data.task.form)
    if recipe.pretraining not in able:
        raise UsageError(
            f"{preset} has no {recipe.pretraining} pretraining for {data.task.name}; allowed are "
            f"{', '.join(able)}"
        )
    candidate = Candidate(known.architecture, recipe)
    trial = Trial(0, FINAL, candidate, TrialState.RUNNING, seed=seed)
    metrics: dict[str, float] = {}
    with temporary_folder("train") as checkpoints:
        try:
            for epoch in TrainEvaluator(dataset, str(checkpoints)).evaluate(trial):
                metrics = dict(epoch.metrics)
                note(_line(metrics, recipe.epochs))
        except EvaluationError as error:
            raise FailedError(f"{preset} on {dataset}: {error}") from None
        report = BundleReport(
            search_id=None,
            search_name=f"{preset} on {dataset}",
            trial=0,
            final_trial=0,
            seed=seed,
            metrics=metrics,
            search_metrics={},
            final_metrics={},
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_bundle(folder, checkpoint.load(f"{checkpoints}/0.safetensors"), data, report)
        except BundleError as error:
            raise FailedError(f"the bundle is not what was trained: {error}") from None
    if as_json:
        print_json({"bundle": str(folder), "recipe": recipe.model_dump(), "metrics": metrics})
    else:
        for name in sorted(metrics):
            print(f"{name:<26}{metrics[name]:g}")
        print(f"{'bundle':<26}{folder}")


def _recipe(preset: Preset, task: Task, wanted: dict[str, Any]) -> Recipe:
    from pydantic import ValidationError

    from models.recipe import Recipe

    try:
        return preset.recipe_for(task, **wanted)
    except ValidationError as error:
        raise wrong_setting("the recipe", Recipe, error) from None


def _line(metrics: dict[str, float], epochs: int) -> str:
    scores = [
        f"{name} {value:.4f}"
        for name, value in metrics.items()
        if name.startswith(("train_loss", "val_", "test_"))
    ]
    return f"epoch {metrics['epoch']:.0f}/{epochs}: {', '.join(scores)}"
