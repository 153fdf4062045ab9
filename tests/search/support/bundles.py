"""The bundle of what a search has found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoint
from models.datasets import Dataset
from models.exporters.bundle import BundleReport, write_bundle
from search.trial import Trial


def bundle_of_best(
    item: Mapping[str, Any], final: Trial, dataset: Dataset, checkpoints: Path
) -> Path:
    """The folder of the verified bundle, beside the weights of the final trial; `item` is that of
    `search.results.report.best`.
    """
    report = BundleReport(
        search_id="srch_0",
        search_name="mine",
        trial=item["trial"],
        final_trial=final.number,
        seed=final.seed,
        metrics=final.metrics,
        search_metrics=item["search_metrics"],
        final_metrics=item["final_metrics"],
    )
    weights = checkpoint.load(f"{checkpoints}/{final.number}.safetensors")
    write_bundle(checkpoints / "bundle", weights, dataset, report)
    return checkpoints / "bundle"
