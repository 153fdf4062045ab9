"""`model.py`: a network as one file of plain PyTorch, to be read and to be run without Nasmith."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

from torch import nn

from models.architecture import Architecture
from models.datasets import preprocess
from models.exporters import Export, Turn, exporters
from models.family import families
from models.task import Task

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle

HEADER = '''\
"""A {family} network for {task} with {parameters:,} parameters.

Load it with the files beside this one:

    network = build()
    network.load_state_dict(safetensors.torch.load_file("model.safetensors"))
    preprocessing = json.loads(open("preprocessing.json").read())
    outputs = network.eval()(preprocess(raw, preprocessing))
"""

from __future__ import annotations

'''

BUILD = '''\
def build() -> nn.Module:
    """The network, with fresh weights."""
    return Network()
'''


@exporters.register("source")
class Source:
    files = ("model.py",)
    card = "the network and the preprocessing, to be read and run; it imports torch alone"
    is_required = True
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        checkpoint = export.checkpoint
        text = source(export.network, checkpoint.architecture, checkpoint.task)
        (folder / "model.py").write_text(text)

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It imports torch and the standard library alone, and builds a network of as many
        parameters as `metrics.json` counts, into which the weights are loaded, every one.
        """
        import ast
        import sys

        imported = set()
        for node in ast.walk(ast.parse((bundle.folder / "model.py").read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
        if foreign := imported - sys.stdlib_module_names - {"torch"}:
            raise ImportError(f"model.py runs with torch alone, but it imports {sorted(foreign)}")
        built = sum(parameter.numel() for parameter in bundle.network.parameters())
        if built != (counted := bundle.json("metrics.json")["parameters"]):
            raise ValueError(f"model.py builds {built} parameters, metrics.json has {counted}")


STANDARD_LIBRARY = ("datetime", "itertools", "math", "re", "unicodedata", "zlib")
"""Modules that the code of networks and of preprocessing may use."""


def source(network: nn.Module, architecture: Architecture, task: Task) -> str:
    """The text of `model.py`: it imports torch only and defines `build` and `preprocess`.

    The state_dict of what its `build` gives has the names and shapes of that of `network`, which
    is the one that the architecture's family has built.
    """
    definition = families[architecture.family].definition(network, architecture)
    parts = [_text(entry) for entry in _with_what_they_use(definition.classes)]
    preprocessing = definition.preprocess or preprocess.source(task.form)
    reading = preprocess.deciding(task.name)
    body = _spaced([*parts, definition.text, BUILD, preprocessing, *reading])
    header = HEADER.format(
        family=architecture.family,
        task=task.name,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    return _spaced([header + _imports(body), body])


def _spaced(parts: Iterable[str]) -> str:
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _imports(body: str) -> str:
    names = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    lines = [f"import {module}" for module in STANDARD_LIBRARY if module in names]
    if "Any" in names:
        lines.append("from typing import Any")
    if lines:
        lines.append("")
    if "torch" in names:
        lines.append("import torch")
    lines.append(f"from torch import {', '.join(sorted(names & {'Tensor', 'nn'}))}")
    if "functional" in names:
        lines.append("from torch.nn import functional")
    return "\n".join(lines)


def _with_what_they_use(entries: Iterable[type | FunctionType]) -> list[type | FunctionType]:
    """The classes and functions of `models` that `entries` name, each before its users."""
    ordered: dict[type | FunctionType, None] = {}

    def add(entry: type | FunctionType) -> None:
        if entry not in ordered:
            for used in _used(entry):
                add(used)
            ordered[entry] = None

    for entry in entries:
        add(entry)
    return list(ordered)


def _used(entry: type | FunctionType) -> Iterator[type | FunctionType]:
    scope = vars(sys.modules[entry.__module__])
    names = [node.id for node in ast.walk(ast.parse(_text(entry))) if isinstance(node, ast.Name)]
    for name in dict.fromkeys(names):
        value = scope.get(name)
        if (
            isinstance(value, type | FunctionType)
            and value is not entry
            and value.__module__.startswith("models.")
        ):
            yield value


def _text(entry: type | FunctionType) -> str:
    """The source without decorators: they register, and mean nothing outside."""
    text = inspect.getsource(entry)
    return "".join(text.splitlines(keepends=True)[ast.parse(text).body[0].lineno - 1 :])
