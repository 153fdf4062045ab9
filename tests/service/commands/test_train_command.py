"""`nasmith train` and `nasmith init`: what needs no server."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from models.family import families
from models.task import MULTILABEL, TASK_NAMES, GraphSize, Task, served
from nasmith.cli import application
from nasmith.commands.init import example
from nasmith.commands.output import UsageError
from search.evaluators.tabular import Table
from search.request import source
from search.request.dataset_facts import DatasetFacts, named_facts
from search.request.resolve import resolve
from tests.search.support.tables import written


def run(*arguments: str) -> None:
    application()(list(arguments), standalone_mode=False)


def test_a_preset_is_trained_to_a_bundle_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command itself holds the bundle to its score, in a fresh process."""
    folder = tmp_path / "a" / "bundle"
    arguments = ("train", "--preset", "linear", "--dataset", "diabetes", "--out", str(folder))
    run(*arguments, "--setting", "learning_rate=0.02", "--json")
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed["recipe"]["optimizer"] == "adam" and printed["recipe"]["learning_rate"] == 0.02
    assert printed["metrics"]["test_mse"] < 0.7  # 1 is the mean of the targets
    assert json.loads((folder / "metrics.json").read_text())["metrics"] == printed["metrics"]
    card = (folder / "README.md").read_text()
    assert "trained by Nasmith" in card and "standardised progression" in card
    with pytest.raises(UsageError, match="exists; --out"):
        run(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "lenet", "--dataset", "wine"), "unknown preset 'lenet', known are alexnet"),
        (("--preset", "linear", "--dataset", "whine"), "unknown dataset 'whine'"),
        (
            ("--preset", "linear", "--dataset", "wine", "--setting", "epochs=0"),
            "epochs: Input should be greater",
        ),
        (
            ("--preset", "linear", "--dataset", "wine", "--setting", "epoch=3"),
            "epoch: there is no such setting, known are .*epochs",
        ),
        (
            ("--preset", "lstm", "--dataset", "digits", "--setting", "pretraining=masked"),
            "lstm has no masked pretraining for image_classification; allowed are none",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        run("train", *arguments, "--out", str(tmp_path / "bundle"))


def test_a_dataset_that_cannot_be_downloaded_says_how_to_upload_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASMITH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(UsageError, match=r"fashion_mnist is downloaded .*nasmith datasets add"):
        run("train", "--preset", "lenet-5", "--dataset", "fashion_mnist")
    search = tmp_path / "search.json"
    request = {"dataset": "fashion_mnist", "space": {"family": "cnn_cell"}}
    search.write_text(json.dumps({**request, "strategy": {"name": "random"}}))
    with pytest.raises(UsageError, match=r"/dataset: fashion_mnist is .*nasmith datasets add"):
        run("validate", str(search))


PAIRS = [(family, task) for family in families for task in sorted(served(families[family].tasks))]
OWN = {
    "my-text": Task("language_modeling", (16,), 9, vocabulary=9),
    "my-texts": Task("text_classification", (16,), 3, vocabulary=9),
    "my-sequences": Task("sequence_classification", (16, 2), 3),
    "my-series": Task("forecasting", (16, 2), 8, targets=(0, 1)),
    "my-graph": Task("node_classification", (5,), 3, graph=GraphSize(60, 200)),
    "my-graphs": Task("graph_classification", (5,), 3, graph=GraphSize(32, 40, 99)),
}
"""What the examples have people upload first."""

_PICTURES = Task(MULTILABEL, (1, 16, 16), 3)
LABELLED = {
    "bag": Task(MULTILABEL, (16,), 3, vocabulary=9),
    "mlp": Task(MULTILABEL, (5,), 3),
    "cnn_cell": _PICTURES,
    "cnn_stages": _PICTURES,
    "rnn": Task(MULTILABEL, (16,), 3, vocabulary=9),
    "text_cnn": Task(MULTILABEL, (16,), 3, vocabulary=9),
    "transformer": Task(MULTILABEL, (16,), 3, vocabulary=9),
}
"""Samples with labels that the families take."""


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_every_family_has_an_example_for_each_of_its_tasks(family: str, task: str) -> None:
    """It is a search that resolves, for built-in data or for data that was uploaded before."""

    def lookup(name: str) -> DatasetFacts:
        own = OWN | {"my-labels": LABELLED[family]} if task == MULTILABEL else OWN
        if name not in own:
            return named_facts(name)
        return DatasetFacts(own[name], {"train": 100}, "f" * 64, name)

    request = tomllib.loads(example(family, task))
    assert request["space"]["family"] == family
    resolved = resolve(request, lookup)
    assert resolved.dataset.task is not None and resolved.dataset.task.name == task
    assert resolved.spec.training.epochs == request["training"]["epochs"]


def test_the_example_for_a_table_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table.load(written(tmp_path))
    monkeypatch.setattr(source, "load_table", lambda reference: table)
    request = tomllib.loads(example("table", None))
    resolved = resolve(request, lambda name: DatasetFacts(None, {"rows": 5}, "f" * 64, name))
    assert (resolved.space.size, resolved.spec.budget.trials) == (6, 30)
    with pytest.raises(UsageError, match="table is for table, got --task forecasting"):
        example("table", "forecasting")


def test_what_is_unknown_here_may_be_known_to_a_server(tmp_path: Path) -> None:
    search = tmp_path / "search.toml"
    search.write_text(example("gnn", "node_classification"))
    with pytest.raises(UsageError, match=r'unknown dataset "my-graph", .*\n.*check with --url'):
        run("validate", str(search))


def test_an_example_for_another_task_is_refused_and_every_task_has_its_part() -> None:
    with pytest.raises(UsageError, match="mlp is for tabular_classification, tabular_regression"):
        example("mlp", "forecasting")
    with pytest.raises(UsageError, match="unknown family 'cnn', known are bag, cnn_cell"):
        example("cnn", None)
    templates = Path(__file__).parents[3] / "nasmith" / "templates" / "tasks"
    assert {file.stem for file in templates.iterdir()} == {*TASK_NAMES, "table"}
