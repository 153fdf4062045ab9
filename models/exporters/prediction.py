"""`predict.py`: predictions from data as people have them."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from models.datasets import (
    adjacency,
    amounts,
    array_names,
    dates,
    encodings,
    graph_texts,
    layout,
    neighbours,
    pictures,
    separators,
    steps,
)
from models.datasets.cells import boolean_of, composed, real_of, text_of
from models.exporters import CannotExportError, Export, Turn, exporters
from models.exporters.predicting import (
    command_line,
    graph_arrays,
    graph_zips,
    picture_files,
    predictor,
    recent_rows,
    results,
    rows,
    series,
    tables,
    text_files,
    texts,
)
from models.exporters.predicting.predictor import Predictor

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


_IMPORTS = (ast.Import, ast.ImportFrom)

_HEADER = '''\
"""Predictions of this model, from data as people have them.

On the command line `python predict.py INPUT > predictions.csv`; in Python

    import predict
    model = predict.load(".")
    model.predict(samples)

It needs torch and safetensors, numpy where arrays come in, and Pillow for picture files.
INPUT: {takes}.
"""

from __future__ import annotations

'''

_LOAD = '''\
def load(folder: str | Path = ".") -> Predictor:
    """The model of a bundle's folder.

    Raises:
        FileNotFoundError: the folder is no bundle.
    """
    return {predictor}(Path(folder).absolute())


if __name__ == "__main__":
    main(load(Path(__file__).parent), {takes!r})
'''

_Source = ModuleType | Callable[..., Any]
_OF_CELLS = (text_of, real_of, boolean_of, amounts, dates)
_ROWS = (composed, encodings, separators, layout, text_files, rows)


@dataclass(frozen=True, slots=True)
class _Form:
    """How samples of a form of tasks are read: the class that does, the modules and functions that
    it needs beside those of every form, and what a file of them is, for people.
    """

    predictor: type[Predictor]
    takes: str
    sources: tuple[_Source, ...] = ()


_TABLE = _Form(
    tables.TablePredictor,
    "a CSV with the columns of training, or - for standard input",
    (*_ROWS, tables),
)
_GRAPH = (neighbours, adjacency, graph_arrays)
_FORMS: Mapping[str, _Form] = {
    "tabular_classification": _TABLE,
    "tabular_regression": _TABLE,
    "image_classification": _Form(
        picture_files.PicturePredictor,
        "pictures, or an .npz or .npy with an array of them",
        (pictures, picture_files),
    ),
    "forecasting": _Form(
        series.SeriesPredictor,
        "a CSV with the recent rows of the series, or - for standard input",
        (*_OF_CELLS, steps, recent_rows, *_ROWS, series),
    ),
    "sequence_classification": _Form(Predictor, "an .npz or .npy with an array of sequences"),
    "text_classification": _Form(
        texts.TextPredictor,
        "texts, as a CSV or one a line, or - for standard input",
        (*_ROWS, texts),
    ),
    "node_classification": _Form(
        graph_arrays.GraphPredictor, "an .npz with the arrays of a graph", _GRAPH
    ),
    "graph_classification": _Form(
        graph_zips.GraphsPredictor,
        "a zip of text files as TUDataset has them, or an .npz with the arrays of graphs",
        (*_GRAPH, graph_texts, graph_zips),
    ),
}


@exporters.register("prediction")
class Prediction:
    files = ("predict.py",)
    card = "predictions from your own rows, texts or pictures: `python predict.py INPUT`"
    is_required = False
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        if export.dataset.task.name == "language_modeling":
            raise CannotExportError("a language model predicts no sample, but what comes next")
        (folder / "predict.py").write_text(text(export.dataset.task.form))

    @staticmethod
    def check(bundle: Bundle) -> None:
        """From the raw test split as it stood in the file that was uploaded, it gives the outputs
        of `model.py`, for many samples at once and for one alone, the recorded test metrics, and
        classes with the recorded accuracy. Metrics were recorded on a CPU in float32 wherever the
        network was trained, so that what a card rounds to TF32 is in none.
        """
        import predict  # type: ignore[import-not-found]  # the bundle's own

        model = predict.load(bundle.folder)
        samples = bundle.asked(model)
        outputs = bundle.answered(model, samples)
        if outputs.shape != bundle.outputs.shape:
            shapes = f"{tuple(outputs.shape)}, of model.py {tuple(bundle.outputs.shape)}"
            raise ValueError(f"outputs of predict.py are {shapes}")
        difference = (outputs - bundle.outputs).abs().max().item()
        scale = max(1.0, bundle.outputs.abs().max().item())
        if not difference <= 1e-5 * scale:
            raise ValueError(f"predict.py and model.py differ by {difference}")
        bundle.check_alone(model, samples, outputs[0])
        bundle.check_scores("predict.py", bundle.scores_of(outputs), 1e-6)
        if bundle.is_history:
            return
        results = model.predict(samples)
        if len(results) < len(bundle.targets):
            raise ValueError(f"{len(results)} results of {len(bundle.targets)} samples")
        if "decision" not in model.preprocessing:
            return
        said = [result["label"] for result in bundle.tested(results)]
        if "labels" in model.preprocessing:
            names = model.preprocessing["labels"]
            sign = model.preprocessing["labels_separator"]
            true = [
                sign.join(name for name, has in zip(names, row, strict=True) if has)
                for row in bundle.targets.tolist()
            ]
        else:
            true = [model.preprocessing["classes"][target] for target in bundle.targets.tolist()]
        right = [label == name for label, name in zip(said, true, strict=True)]
        accuracy, recorded = sum(right) / len(right), bundle.scores["test_accuracy"]
        if not abs(accuracy - recorded) <= 1e-6:
            raise ValueError(f"predict.py has an accuracy of {accuracy}, recorded was {recorded}")


def text(form: str) -> str:
    """The script for tasks of a form: what reads their samples, and not a word of the others."""
    found = _FORMS[form]
    parts = [array_names, results, predictor, *found.sources, command_line]
    bodies = [_body(part) for part in parts]
    load = _LOAD.format(predictor=found.predictor.__name__, takes=found.takes)
    header = _HEADER.format(takes=found.takes)
    return header + _imports(parts) + "\n\n\n" + "\n\n\n".join([*bodies, load])


def _body(part: _Source) -> str:
    """Its text without docstring and imports, which stand at the beginning of a module."""
    source = inspect.getsource(part)
    lines = source.splitlines(keepends=True)
    nodes = [n for n in ast.parse(source).body if not isinstance(n, (ast.Expr, *_IMPORTS))]
    first = min([nodes[0].lineno, *(d.lineno for d in getattr(nodes[0], "decorator_list", ()))])
    return "".join(lines[first - 1 :]).strip("\n")


def _imports(parts: Iterable[_Source]) -> str:
    """Of what is not ours, each name once; the standard library first."""
    whole: set[str] = set()
    names: dict[str, set[str]] = {"pathlib": {"Path"}}
    for part in parts:
        for node in ast.parse(inspect.getsource(part)).body:
            if isinstance(node, ast.Import):
                whole |= {ast.unparse(node)}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.setdefault(node.module, set()).update(map(ast.unparse, node.names))
    lines = sorted(whole) + [
        f"from {module} import {', '.join(sorted(found))}"
        for module, found in sorted(names.items())
        if module != "__future__" and not module.startswith("models.")
    ]
    standard = sys.stdlib_module_names
    of_python = [line for line in lines if line.split()[1].partition(".")[0] in standard]
    others = [line for line in lines if line not in of_python]
    return "\n".join(of_python) + "\n\n" + "\n".join(others)
