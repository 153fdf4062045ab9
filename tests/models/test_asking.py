"""Models that answer in cages, and stay warm while somebody asks."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.asking import Limits, NoPredictorError, RowsError, TooMuchError, WarmModels
from models.exporters.prediction import text
from tests.models.support.bundles import files_of
from tests.models.support.uploads import csv, npz, people, read

ROW = {"age": 41.5, "income": "1000", "city": "Rome", "score": 3}


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    folder = tmp_path_factory.mktemp("table")
    dataset = read(folder, csv(people()), "tabular_classification", target="label")
    bundle, _ = files_of(dataset, "mlp", folder)

    def copy(target: Path) -> None:
        shutil.copytree(bundle, target, dirs_exist_ok=True)

    return copy


def children() -> set[int]:
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it ends while it is looked at
            if "models.asking" in child.cmdline():
                found.add(child.pid)
    return found


def test_a_second_question_finds_the_model_warm(unpack: Callable[[Path], None]) -> None:
    models = WarmModels(most=1, idle_seconds=600)
    try:
        first = models.ask("a", unpack, [ROW], "error")
        (child,) = children()
        with pytest.raises(RowsError, match="row 0 has no columns 'age', 'income'"):
            models.ask("a", pytest.fail, [{}], "error")
        assert models.ask("a", pytest.fail, [ROW, ROW], "error")["predictions"][0] == (
            pytest.approx(first["predictions"][0], abs=1e-6)
        )
        assert children() == {child}
        with pytest.raises(NoPredictorError):
            models.ask("b", lambda folder: None, [ROW], "error")
        assert children() == set(), "another model takes its place"
    finally:
        models.close()


def test_a_model_that_nobody_asks_ends_and_so_does_one_that_takes_too_long(
    unpack: Callable[[Path], None],
) -> None:
    models, hasty = WarmModels(idle_seconds=0.1), WarmModels(Limits(seconds=0.1))
    try:
        with pytest.raises(TooMuchError, match=r"more than 0\.1 s"):
            hasty.ask("a", unpack, [ROW], "error")
        models.ask("a", unpack, [ROW], "error")
        deadline = time.monotonic() + 30
        while children():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        models.close()
        hasty.close()


def test_a_model_of_pictures_opens_no_file_that_a_row_names(tmp_path: Path) -> None:
    """Neither says whether there is one: it does not begin."""
    pictures = npz(x=np.arange(640, dtype=np.uint8).reshape(40, 4, 4), y=np.arange(40) % 2)
    dataset = read(tmp_path, pictures, "image_classification")

    def unpack(target: Path) -> None:
        (target / "predict.py").write_text(text(dataset.task.form))
        (target / "preprocessing.json").write_text(json.dumps(dataset.preprocessing))

    models = WarmModels()
    try:
        with pytest.raises(NoPredictorError, match="from pictures, arrays or graphs, and not"):
            models.ask("pictures", unpack, [str(tmp_path / "file")], "error")
        assert children() == set()
    finally:
        models.close()
