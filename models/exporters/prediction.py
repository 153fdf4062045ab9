"""`predict.py`: predictions from data as people have them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from models.datasets import pictures, steps
from models.datasets.cells import date_of, number_of, text_of
from models.exporters import (
    CannotExportError,
    Export,
    Turn,
    exporters,
    predict_script,
    recent_rows,
)

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


_IMPORTS = (ast.Import, ast.ImportFrom)

_Source = ModuleType | Callable[..., Any]

_READERS: tuple[tuple[str, str, tuple[_Source, ...]], ...] = (
    ("pictures", "image_classification", (pictures,)),
    ("series", "forecasting", (text_of, number_of, date_of, steps, recent_rows)),
)
"""The word that marks what reads the samples of a task, and the modules and functions that do."""


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
        """From the raw test split, rows of a table as they stood in the file, it gives the outputs
        of `model.py`, for many samples at once and for one alone, and classes with the recorded
        accuracy.
        """
        import predict  # type: ignore[import-not-found]  # the bundle's own

        model = predict.load(bundle.folder)
        samples: Any = bundle.rows or bundle.raw
        if samples.keys() == {"x"} and not bundle.rows:
            samples = samples["x"]
        outputs = model.outputs(samples)
        difference = (outputs - bundle.outputs).abs().max().item()
        scale = max(1.0, bundle.outputs.abs().max().item())
        if not difference <= 1e-5 * scale:
            raise ValueError(f"predict.py and model.py differ by {difference}")
        if bundle.rows:
            one = model.outputs([{name: cells[0] for name, cells in bundle.rows.items()}])
        elif model.preprocessing["input"].get("kind") == "graph":
            one = None
        else:
            one = model.outputs(samples[:1])
        difference = 0.0 if one is None else (one[0] - outputs[0]).abs().max().item()
        if not difference <= 1e-4 * scale:
            raise ValueError(f"one sample alone differs by {difference} from it among others")
        results = model.predict(samples)
        if len(results) < len(bundle.targets):
            raise ValueError(f"{len(results)} results of {len(bundle.targets)} samples")
        if "decision" not in model.preprocessing:
            return
        classes = model.preprocessing["classes"]
        true = [classes[target] for target in bundle.targets.tolist()]
        right = [result["label"] == name for result, name in zip(results, true, strict=True)]
        accuracy, recorded = sum(right) / len(right), bundle.scores["test_accuracy"]
        if not abs(accuracy - recorded) <= 1e-6:
            raise ValueError(f"predict.py has an accuracy of {accuracy}, recorded was {recorded}")


def text(task_name: str) -> str:
    """The script for tasks of a form: with what reads their samples, or without a word of it."""
    script = inspect.getsource(predict_script)
    for word, task, sources in _READERS:
        parts = re.split(rf"^ *# {word}[:.].*\n", script, flags=re.MULTILINE)
        if task_name == task:
            parts[1] = _body(sources)
        else:
            parts = parts[::2]
        script = "".join(parts)
    return _spaced(script)


def _body(sources: Sequence[_Source]) -> str:
    """Modules and functions as one text, without what they import from each other."""
    imports: dict[str, None] = {}
    bodies = []
    for part in sources:
        source = inspect.getsource(part)
        lines = source.splitlines(keepends=True)
        for node in ast.parse(source).body:
            if not isinstance(node, _IMPORTS):
                continue
            line = ast.get_source_segment(source, node)
            if line and "__future__" not in line and "from models." not in line:
                imports[line] = None
        nodes = [n for n in ast.parse(source).body if not isinstance(n, (ast.Expr, *_IMPORTS))]
        first = min([nodes[0].lineno, *(d.lineno for d in getattr(nodes[0], "decorator_list", ()))])
        bodies.append("".join(lines[first - 1 :]))
    return "\n".join(imports) + "\n\n" + "\n\n".join(bodies)


def _spaced(source: str) -> str:
    """Without the gaps that what was cut out has left."""
    return re.sub(r"\n{4,}", "\n\n\n", source)
