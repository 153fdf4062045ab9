"""`model.py`: a network as one file of plain PyTorch, to be read and to be run without Nasmith."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from models.architecture import Architecture
from models.datasets import preprocess
from models.ensemble import Averaged, Ensemble
from models.exporters import Export, Turn, exporters
from models.exporters.definitions import text_of, with_what_they_use
from models.exporters.joined_source import averaged_text, joined
from models.family import families
from models.task import Task

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle

HEADER = '''\
"""{what} for {task} with {parameters:,} parameters.

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
        model, network = export.checkpoint, export.network
        if isinstance(model, Ensemble) and isinstance(network, Averaged):
            text = ensemble_source(network, model)
        else:
            text = source(network, model.architecture, model.task)
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
    parts = [text_of(entry) for entry in with_what_they_use(definition.classes)]
    what = f"A {architecture.family} network"
    return _file(what, network, task, [*parts, definition.text], definition.preprocess)


def ensemble_source(network: Averaged, ensemble: Ensemble) -> str:
    """The same of what `ensemble` has built: each class once, however many members are of it."""
    definitions = [
        families[member.checkpoint.architecture.family].definition(
            built, member.checkpoint.architecture
        )
        for built, member in zip(network.members, ensemble.members, strict=True)
    ]
    what = f"The mean of {len(definitions)} networks"
    parts, names = joined(definitions)
    whole = averaged_text(names, network, ensemble.task)
    parts = [*parts, text_of(network.average), whole]
    return _file(what, network, ensemble.task, parts, definitions[0].preprocess)


def _file(
    what: str, network: nn.Module, task: Task, parts: Iterable[str], preprocessing: str | None
) -> str:
    """`what`: the network, for people; parts: the texts of its classes."""
    reading = [preprocessing or preprocess.source(task.form), *preprocess.deciding(task.name)]
    body = _spaced([*parts, BUILD, *reading])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    header = HEADER.format(what=what, task=task.name, parameters=parameters)
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
