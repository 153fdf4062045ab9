"""`README.md`, the model card: what a person should know before using a bundle, after Mitchell et
al. 2019, https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.exporters import Export, Turn, exporters
from models.exporters.metrics import metrics_of
from models.recipe import VALUE_TASKS, refused_fields
from models.task import MULTILABEL, Task

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle

_FOUND_SPLITS = """\
`val_` is the validation split, which the search was led by. `test_` was scored by the final \
models alone, after the search had ended, and no choice depended on it."""
_RETRAINED_SPLITS = """\
`val_` is the validation split, which the search was led by, scored by the same training without \
it: these weights have learned from it too, from scratch for the epochs that were best. `test_` \
was scored by the final models alone, after the search had ended, and no choice depended on it."""
_TRAINED_SPLITS = """\
`val_` is the validation split, by which the epoch was chosen. `test_` was scored once, after \
training, and no choice depended on it."""
_FOUND_RUNS = """\
The final runs retrain the architecture from scratch, one a seed; the mean is shown with the \
sample standard deviation. """
_TRAINED_RUN = "The network was trained once. "
_ENSEMBLE_RUN = (
    "The ensemble was put together once, of runs that were trained from scratch, one a seed. Its "
    "members were chosen by the validation score that is shown, so that new data give it less of a "
    "lead over its members than there. "
)
_UNITS = {
    "own_unit": "`mae` and `rmse` below are in it; `mse` is in squares of the deviation on the "
    "train split, so that its mean scores 1.",
    "deviations": "The errors below are in deviations of the train split.",
}
_SHOWN = 80
"""Characters of a cell in an example."""

_ERRORS = ("_mae", "_mse", "_rmse")


@exporters.register("card")
class Card:
    files = ("README.md",)
    card = "this card"
    is_required = True
    turn = Turn.CARD

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        card = model_card(metrics_of(export), export.dataset.preprocessing, export.missing)
        (folder / "README.md").write_text(card)

    @staticmethod
    def check(bundle: Bundle) -> None:
        """Its Python blocks run as they stand, and give an output, and a prediction where there is
        an example, for one sample; it has a line of each file.
        """
        import re

        card = (bundle.folder / "README.md").read_text()
        names: dict[str, Any] = {}
        for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
            exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - what a user would run
        found = [names["outputs"], *([names["predictions"]] if "predictions" in names else [])]
        if any(len(results) != 1 for results in found):
            raise ValueError(f"README.md gets {[*map(len, found)]} results for a sample")
        files = {path.name for path in bundle.folder.iterdir()}
        if untold := sorted(file for file in files if f"`{file}`" not in card):
            raise ValueError(f"README.md says nothing of {untold}")


def model_card(
    metrics: Mapping[str, Any], preprocessing: Mapping[str, Any], missing: Mapping[str, str]
) -> str:
    """README.md of a bundle. `metrics` is the content of its `metrics.json`.

    The Python blocks run as they stand, in the bundle's folder.
    """
    data, search, task = metrics["dataset"], metrics["search"], metrics["task"]
    samples = data["samples"]
    raw = preprocessing["input"]
    example, takes = _input(raw)
    classes = preprocessing.get("classes")
    meaning = f"\n- Classes, in the order of the outputs: {_listed(classes)}" if classes else ""
    decision = preprocessing.get("decision")
    if classes and decision:
        meaning += _deciding(decision, classes)
    if labels := preprocessing.get("labels"):
        meaning = f"\n- Labels, in the order of the outputs: {_listed(labels)}"
        meaning += _labelling(decision or {}, labels)
    if target := preprocessing.get("target"):
        meaning += (
            f"\n- The values are {'transformed' if 'transforms' in target else 'standardised'} "
            f"{_listed(_with_units(target))}: "
            '`model.own_values(outputs, preprocessing["target"])` gives them in their own unit. '
            f"{_UNITS[metrics['errors_in']]}"
        )
    others = refused_fields(Task.from_json(task))
    recipe = ", ".join(f"{n} {value}" for n, value in metrics["recipe"].items() if n not in others)
    versions = ", ".join(f"{name} {number}" for name, number in metrics["versions"].items())
    is_found = search["id"] is not None
    origin = "No search: a network known before"
    if is_found:
        origin = (
            f"Search: `{search['id']}`, trial {search['trial']}; weights of trial "
            f"{metrics['final_trial']}, seed {metrics['seed']}"
        )
    splits = _FOUND_SPLITS if is_found else _TRAINED_SPLITS
    if "retrained_epochs" in metrics["metrics"]:
        splits = _RETRAINED_SPLITS
    verdict = f"**{metrics['verdict']}**\n\n" if metrics["verdict"] else ""
    members = metrics.get("members", [])
    what, runs = "a network", _FOUND_RUNS if is_found else _TRAINED_RUN
    weights = f"The weights here are those of seed {metrics['seed']}. "
    if members:
        what, runs, weights = f"an ensemble of {len(members)} networks", _ENSEMBLE_RUN, ""
        origin = f"Search: `{search['id']}`, trial {search['trial']}"
    return f"""\
{verdict}# {" ".join(search["name"].split())}: {what} \
{"found" if is_found else "trained"} by Nasmith

{task["name"].replace("_", " ").capitalize()} on `{data["name"]}`. \
{metrics["parameters"]:,} parameters, {metrics["flops"]:,} FLOPs for one sample.

## Use

`pip install torch safetensors`, then, in this folder:
{_predicting(missing, preprocessing)}
```python
import json, pathlib, torch, safetensors.torch, model
network = model.build().eval()
network.load_state_dict(safetensors.torch.load_file("model.safetensors"))
preprocessing = json.loads(pathlib.Path("preprocessing.json").read_text())
outputs = network(model.preprocess({example}, preprocessing))
```

- Input: {takes}; `preprocess` does the rest.
- Output: {task["outputs"]} values a sample.{meaning}

## Scores

{splits}

{score_table(metrics)}

The baseline is what knows nothing of the inputs scores: {_baseline_of(task["name"])}. \
{runs}{weights}\
Before publication this folder reproduced the test score in a process without Nasmith.
{_members(members, metrics)}
## Origin

- {origin}
- Data: `{data["name"]}`, SHA-256 {data["fingerprint"]}; {samples["train"]} samples for training, \
{samples["validation"]} for validation, {samples["test"]} for test
- Recipe{" of member 1" if members else ""}: {recipe}
- Versions: {versions}

## Files

{_files(missing)}
"""


def _members(members: list[Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    """Of an ensemble, each beside the whole; nothing of a network."""
    if not members:
        return ""
    scores = [
        name for name in metrics["metrics"] if all(name in one["validation"] for one in members)
    ]
    head = ["member", "share", "family", "trial", "seed", *scores]
    rows = [head, ["---"] * len(head)]
    for number, one in enumerate(members, 1):
        values = [_score(name, one["validation"][name]) for name in scores]
        said = [one["share"], one["architecture"]["family"], one["trial"], one["seed"]]
        rows.append([f"`member_{number}`", f"{said[0]:.3g}", *map(str, said[1:]), *values])
    together = [_score(name, metrics["metrics"][name]) for name in scores]
    rows.append(["together", "1", "", "", "", *together])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""
## Members

The answer is the mean of what the members say, weighted by their shares: of probabilities where \
there are classes or labels, of values else. The first is the best alone; then always the one was \
picked with which the score on validation is best: Caruana et al., ICML 2004.

{table}

"""


def _score(name: str, value: float) -> str:
    return format(value, ".6g" if name.endswith(_ERRORS) else ".4f")


def _predicting(missing: Mapping[str, str], preprocessing: Mapping[str, Any]) -> str:
    """How to ask the model with data as people have them, where that is possible."""
    if "predict.py" in missing:
        return ""
    what = "INPUT"
    if columns := [column["name"] for column in preprocessing.get("columns", ())]:
        what = "FILE.csv"
        needs = f" with the columns {_listed([f'`{name}`' for name in columns])}"
    elif column := preprocessing.get("text"):
        what = "FILE.csv"
        needs = f" with the column `{column}`"
    else:
        needs = ", as the model was trained on"
    called = 'predict.load(".").predict(...)'
    asked = f"`{called}` in Python. "
    if example := preprocessing.get("example"):
        row = json.dumps(
            {name: _shortened(cell) for name, cell in example.items()}, ensure_ascii=False
        ).replace("`", "\\u0060")  # which would end the block
        asked = f"""in Python, of a row of the train split:

```python
import predict

predictions = predict.load(".").predict([{row}])
```

"""
    return f"""
```sh
python predict.py {what} > predictions.csv
```

for data{needs}; {asked}Or by the network itself:
"""


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}..."


def _input(raw: Mapping[str, Any]) -> tuple[str, str]:
    """A sample of zeros as an expression, and what samples are, for people."""
    if raw.get("kind") == "graph":
        (features,) = raw["shape"]
        x, edges = f"torch.zeros(1, {features})", "torch.zeros(2, 0, dtype=torch.int64)"
        named, weights, what = raw.get("weights"), "", ""
        if named:
            weights, what = f', "{named}": torch.zeros(0)', f", `{named}`, the weight of each"
        return f'{{"x": {x}, "edge_index": {edges}{weights}}}', (
            f"`x`, {features} raw features a node (or `x_data`, `x_indices` and `x_indptr`, the "
            f"same by rows), and `edge_index`, source and target of each edge{what}; `picked`, the "
            "nodes that are asked for, or `graph_of`, the graph of each node, where there are many"
        )
    shape = ", ".join(map(str, raw["shape"]))
    example = f"torch.zeros({', '.join(map(str, (1, *raw['shape'])))}, dtype=torch.{raw['dtype']})"
    return example, f"a batch of raw samples of shape ({shape}), {raw['dtype']}"


def _labelling(decision: Mapping[str, Any], labels: list[str]) -> str:
    """From which probability on a sample has a label, and what the probabilities are."""
    temperature, offsets = decision.get("temperature", 1.0), decision.get("offsets", ())
    least = {
        name: _logistic(-value / temperature)
        for name, value in zip(labels, offsets, strict=False)
        if value
    }
    said = "; a sample has those with a probability of 1/2 or more"
    if least:
        shown = [f"{name} {share:.4g}" for name, share in least.items()]
        said += f", but from these on, which have the best F1 on validation: {_listed(shown)}"
    said += '; `model.labels_said(outputs, preprocessing["decision"]["offsets"])`.'
    return said + _probabilities("label_probabilities", "label", temperature)


def _deciding(decision: Mapping[str, Any], classes: list[Any]) -> str:
    """How the class follows from the outputs, and what the probabilities are."""
    said, offsets = "that of the largest output", decision["offsets"]
    if any(offsets) and len(classes) == 2:
        threshold = _logistic(-offsets[1] / decision["temperature"])
        said = (
            f"{classes[1]} from a probability of {threshold:.4g} on, the threshold with the best "
            "score on validation"
        )
    elif any(offsets):
        factors = [math.exp(value / decision["temperature"]) for value in offsets]
        shown = [
            f"{name} {factor / min(factors):.4g}"
            for name, factor in zip(classes, factors, strict=True)
        ]
        said = (
            "the most probable one, rare ones counting more, as had the best score on validation: "
            f"each probability times {_listed(shown)}"
        )
    return (
        f'\n- Class: {said}; `model.decided(outputs, preprocessing["decision"]["offsets"])`.'
        + _probabilities("probabilities", "class", decision["temperature"])
    )


def _probabilities(function: str, what: str, temperature: float) -> str:
    return (
        f'\n- Probabilities: `model.{function}(outputs, preprocessing["decision"])`, with the '
        f"temperature {temperature:.4g} of validation. `ece` is how far they are from "
        f"how often the {what} is right, in the mean."
    )


def _logistic(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


def _files(missing: Mapping[str, str]) -> str:
    """A line of each exporter, in the order in which they are written."""
    lines = []
    for exporter in sorted(exporters.values(), key=lambda exporter: exporter.turn):
        if files := [f"`{file}`" for file in exporter.files if file not in missing]:
            lines.append(f"- {', '.join(files)}: {exporter.card}")
    return "\n".join(lines)


def _with_units(target: Mapping[str, Any]) -> list[str]:
    """The names of values, each with what one of it is, where that is known."""
    names = target["names"]
    return [
        name if unit is None else f"{name} (in {unit})"
        for name, unit in zip(names, target.get("units", [None] * len(names)), strict=True)
    ]


def _listed(classes: list[Any]) -> str:
    shown = ", ".join(str(label) for label in classes[:20])
    return shown if len(classes) <= 20 else f"{shown}, ... ({len(classes)} in all)"


def score_table(metrics: Mapping[str, Any]) -> str:
    rows = ["| metric | these weights | final runs | in the search | baseline |"]
    rows.append("|---|---|---|---|---|")
    for name in sorted(metrics["metrics"]):
        if not name.startswith(("val_", "test_")):
            continue
        spread = metrics["final_metrics"].get(name)
        found = metrics["search_metrics"].get(name)
        digits = ".6g" if name.endswith(_ERRORS) else ".4f"
        floor = metrics["baseline"].get(name)
        rows.append(
            f"| {name} | {metrics['metrics'][name]:{digits}} | "
            f"{_spread(spread, digits) if spread else ''} | "
            f"{'' if found is None else format(found, digits)} | "
            f"{'' if floor is None else format(floor, digits)} |"
        )
    return "\n".join(rows)


def _spread(known: Mapping[str, Any], digits: str) -> str:
    """One run has no deviation to tell."""
    if known["seeds"] == 1:
        return f"{known['mean']:{digits}} (one run)"
    return f"{known['mean']:{digits}} ± {known['std']:{digits}} (n = {known['seeds']})"


def _baseline_of(task_name: str) -> str:
    if task_name == "forecasting":
        return "the last values, or those of a season before"
    if task_name in VALUE_TASKS:
        return "the mean of the train split, of `mae` its median"
    if task_name == MULTILABEL:
        return "the shares of the labels"
    return "the shares of the classes" if "classif" in task_name else "the shares of the characters"
