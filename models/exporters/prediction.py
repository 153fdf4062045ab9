"""`predict.py`: predictions from data as people have them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.datasets import pictures
from models.exporters import CannotExportError, Export, Turn, exporters, predict_script

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


_IMPORTS = (ast.Import, ast.ImportFrom)


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
        (folder / "predict.py").write_text(text(export.dataset.task.name))

    @staticmethod
    def check(bundle: Bundle) -> None:
        """From the raw test split, rows of a table as they stood in the file, it gives the outputs
        of `model.py`, for many samples at once and for one alone.
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
            return
        else:
            one = model.outputs(samples[:1])
        difference = (one[0] - outputs[0]).abs().max().item()
        if not difference <= 1e-4 * scale:
            raise ValueError(f"one sample alone differs by {difference} from it among others")
        results = model.predict(samples)
        if len(results) < len(bundle.targets):
            raise ValueError(f"{len(results)} results of {len(bundle.targets)} samples")


def text(task_name: str) -> str:
    """The script for a task: with what reads pictures, or without a word of them."""
    parts = re.split(
        r"^ *# pictures[:.].*\n", inspect.getsource(predict_script), flags=re.MULTILINE
    )
    if task_name != "image_classification":
        return _spaced("".join(parts[::2]))
    reader = inspect.getsource(pictures)
    tree = ast.parse(reader)
    lines = reader.splitlines(keepends=True)
    first = next(node for node in tree.body if not isinstance(node, (ast.Expr, *_IMPORTS)))
    imports = [ast.get_source_segment(reader, n) for n in tree.body if isinstance(n, _IMPORTS)]
    needed = [line for line in imports if line and "__future__" not in line]
    parts[1] = "\n".join(needed) + "\n\n" + "".join(lines[first.lineno - 1 :])
    return _spaced("".join(parts))


def _spaced(source: str) -> str:
    """Without the gaps that what was cut out has left."""
    return re.sub(r"\n{4,}", "\n\n\n", source)
